"""Reading without imports: order, includes, and the error for each mistake."""

from __future__ import annotations

import subprocess
import sys

import pytest

from sslkit.config import read
from sslkit.errors import UserError

BASE = """\
    train.objective = @objectives.toy
    train.epochs = 3
    data.name = 'cifar10'
"""


def value(resolution, key):
    (found,) = (b.value for b in resolution.bindings if b.key == key)
    return found


def refusal(*recipes, overrides=(), **options) -> str:
    with pytest.raises(UserError) as caught:
        read(recipes, overrides, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_later_bindings_and_overrides_replace_earlier_ones(recipe):
    recipe("gin/parts/p.gin", "train.epochs = 1\ntrain.note = 'part'\n")
    x = recipe("gin/x.gin", BASE + "    include 'gin/parts/p.gin'\n")
    y = recipe("gin/y.gin", "train.note = 'second file'\n")
    assert value(read([x]), "train.epochs") == 1
    assert value(read([x, y]), "train.note") == "second file"
    last = read([x, y], ["train.note = 'a'", "train.note = 'b'"])
    assert value(last, "train.note") == "b"


def test_data_dir_is_an_override(recipe):
    x = recipe("gin/x.gin", BASE + "    data.data_dir = 'theirs'\n")
    assert value(read([x], data_dir="it's"), "data.data_dir") == "it's"


def test_nothing_is_imported(recipe):
    x = recipe("gin/x.gin", BASE + "    train.schedule = @schedules.toy_falling()\n")
    before = set(sys.modules)
    read([x])
    assert not {"toy_core", "toy_plugins"} & (set(sys.modules) - before)


def test_blocks_and_macros(recipe):
    x = recipe(
        "gin/x.gin",
        """\
        train.objective = @objectives.toy
        objectives.toy:
          temperature = %heat
          decay = 0.5
        train.note = [%heat, {'deep': (%heat,)}]
        heat = %warm
        warm = 0.2
        """,
    )
    assert value(read([x]), "objectives.toy.temperature") == 0.2
    assert value(read([x], ["warm = 7"]), "train.note") == [7, {"deep": (7,)}]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            "train.objective = @objectives.tpy",
            "gin/x.gin:4: no objective is called 'tpy'. Did you mean 'toy'? ",
        ),
        (
            "objectives.toy.temprature = 1",
            "objectives.toy has no parameter 'temprature' (gin/x.gin:4). Did you mean "
            "'temperature'? It takes: backbone, temperature, decay, name.",
        ),
        (
            "train.epoch = 1",
            "train has no parameter 'epoch' (gin/x.gin:4). Did you mean 'epochs'? ",
        ),
        (
            "objectivs.toy.decay = 1",
            "'objectivs.toy' cannot be configured (gin/x.gin:4). "
            "Did you mean 'objectives.toy'? ",
        ),
        (
            "toy.decay = 1",
            "'toy' cannot be configured (gin/x.gin:4). Did you mean 'objectives.toy'? ",
        ),
        (
            "train.note = %heat",
            "there is no macro 'heat' (gin/x.gin:4). Macros: none.",
        ),
        ("a = %a\ntrain.note = %a", "the macro 'a' uses itself (gin/x.gin:5)."),
        ("train.epochs 5", "gin/x.gin:4 is not gin: "),
        ("train.note = [1,", "gin/x.gin is not gin: "),
        ("train.note = {[]: 1}", "gin/x.gin is not gin: unhashable type: 'list'."),
        (
            "import os",
            "gin/x.gin: 'import os' is not allowed. Plugins are found by their entry",
        ),
        (
            "include 'gin/x.gin'",
            "gin/x.gin includes itself (gin/x.gin:4). Remove the include.",
        ),
        (
            "include 'gin/parts/q.gin'",
            "there is no recipe 'gin/parts/q.gin' (gin/x.gin:4). ",
        ),
        (
            "data.name = %gin.REQUIRED",
            "gin/x.gin:4 leaves data.name to you. Add --set 'data.name = …'.",
        ),
        (
            "train.augmentation = @augmentations.toy_flip()",
            "train.augmentation = @augmentations.toy_flip() (gin/x.gin:4) needs a "
            "value for augmentations.toy_flip.size. Add --set "
            "'augmentations.toy_flip.size = …'.",
        ),
    ],
)
def test_mistakes_in_a_file_are_named_with_their_line(recipe, line, message):
    text = "\n".join([*(part.strip() for part in BASE.splitlines()), line, ""])
    assert refusal(recipe("gin/x.gin", text)).startswith(message)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "train.objective = toy",
            "--set 'train.objective = toy' is not gin: Failed to parse token 'toy'. "
            "Write name.parameter = value; put quotes around strings and @ before "
            "plugins: ",
        ),
        ("train.epochs", "--set 'train.epochs' is not gin: "),
        ("", "--set '' does not set a value. Write name.parameter = value; "),
        (
            "include 'gin/x.gin'",
            "--set 'include 'gin/x.gin'' cannot include a file. Give",
        ),
        (
            "objectives.toy_other.margin = 2",
            "--set 'objectives.toy_other.margin = 2' has no effect: this run does "
            "not use objectives.toy_other.margin. It uses: data, train.",
        ),
        (
            "epochs = 2",
            "--set 'epochs = 2' has no effect: this run does not use epochs. "
            "Did you mean 'train.epochs'? ",
        ),
        (
            "train.epoch = 2",
            "train has no parameter 'epoch' (--set 'train.epoch = 2'). ",
        ),
        (
            "elsewhere/objectives.toy.decay = 2",
            "--set 'elsewhere/objectives.toy.decay = 2' has no effect: ",
        ),
    ],
)
def test_mistakes_in_an_override_are_named_by_its_text(recipe, text, message):
    line = refusal(recipe("gin/x.gin", BASE), overrides=[text])
    assert line.startswith(message)


def test_bindings_of_a_file_that_nothing_uses_are_noted_and_left_out(recipe):
    x = recipe(
        "gin/x.gin",
        BASE + "    objectives.toy_other.margin = 2\n    unused = 1\n",
    )
    resolution = read([x])
    assert resolution.notes == (
        "gin/x.gin:4: nothing uses objectives.toy_other.margin",
        "gin/x.gin:5: nothing uses unused",
    )
    assert "toy_other" not in resolution.render()


def test_an_override_is_used_once_the_plugin_is(recipe):
    x = recipe("gin/x.gin", BASE)
    overrides = [
        "objectives.toy_other.margin = 2",
        "train.objective = @objectives.toy_other",
    ]
    assert value(read([x], overrides), "objectives.toy_other.margin") == 2


def test_a_scope_is_used_if_a_reference_has_it(recipe):
    x = recipe(
        "gin/x.gin",
        """\
        train.objective = @slow/objectives.toy
        slow/objectives.toy.decay = 0.1
        slow/backbones.tiny.width = 2
        fast/objectives.toy.decay = 0.2
        objectives.toy.backbone = @backbones.tiny
        """,
    )
    resolution = read([x])
    assert value(resolution, "slow/objectives.toy.decay") == 0.1
    assert value(resolution, "slow/backbones.tiny.width") == 2
    assert resolution.notes == ("gin/x.gin:4: nothing uses fast/objectives.toy.decay",)


def test_a_constructor_without_source_is_checked_when_it_is_loaded(recipe):
    # toy_hidden is a data class, whose constructor is not in the source.
    text = BASE + "    train.augmentation = @augmentations.toy_hidden()\n"
    x = recipe("gin/x.gin", text)
    override = "augmentations.toy_hidden.anything = 1"
    key = "augmentations.toy_hidden.anything"
    assert value(read([x], [override]), key) == 1


def test_an_inherited_constructor_is_read(recipe):
    text = BASE + "    train.augmentation = @augmentations.toy_inherits()\n"
    x = recipe("gin/x.gin", text)
    line = refusal(x, overrides=["augmentations.toy_inherits.sise = 1"])
    assert "Did you mean 'size'? It takes: size, views." in line


def test_an_override_gives_a_required_value(recipe):
    x = recipe("gin/x.gin", BASE + "    data.name = %gin.REQUIRED\n")
    assert value(read([x], ["data.name = 'mine'"]), "data.name") == "mine"


def test_reading_does_not_import_tensorflow():
    code = (
        "import sys; from sslkit.config.reading import read_override;"
        "from sslkit import config; read_override('train.epochs = 1');"
        "print(sorted({'tensorflow', 'keras', 'stevedore'} & set(sys.modules)))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"


def test_an_include_is_also_looked_for_beside_the_file(recipe, world, monkeypatch):
    recipe("mine/first.gin", BASE)
    recipe("mine/second.gin", "include 'first.gin'\ntrain.epochs = 5\n")
    recipe("third.gin", "include 'mine/second.gin'\n")
    for name in ("mine/second.gin", str(world / "mine" / "second.gin"), "third.gin"):
        assert value(read([name]), "train.epochs") == 5
    found = read(["third.gin"])
    places = {binding.key: binding.place for binding in found.bindings}
    assert places["train.objective"] == "mine/first.gin:1"
    # The current folder is still searched first.
    recipe("first.gin", BASE + "    train.note = 'here'\n")
    assert value(read(["third.gin"]), "train.note") == "here"


def test_the_error_of_a_missing_include_names_the_searched_folders(recipe, world):
    recipe("mine/second.gin", "include 'first.gin'\n")
    line = refusal("mine/second.gin")
    assert line.startswith("there is no recipe 'first.gin' (mine/second.gin:1). ")
    assert f"{world / 'mine'}. Recipes:" in line


def test_a_byte_order_mark_is_ignored(recipe, world):
    text = "train.objective = @objectives.toy\n"
    (world / "marked.gin").write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert read(["marked.gin"]).bindings[0].place == "marked.gin:1"


@pytest.mark.parametrize("deep", [60, 400, 20_000])
@pytest.mark.parametrize("brackets", [("(", ",)"), ("[", "]")])
def test_a_value_that_is_nested_too_deeply_is_a_one_line_error(recipe, deep, brackets):
    left, right = brackets
    nested = f"{left * deep}1{right * deep}"
    said = refusal(recipe("gin/x.gin", f"train.note = {nested}\n"))
    assert "nested" in said
    assert len(said) < 500


def test_macros_that_double_each_other_are_refused_at_once(recipe):
    doubling = [f"m{n} = (%m{n - 1}, %m{n - 1})" for n in range(1, 45)]
    lines = [BASE, "m0 = 1", *doubling, "train.note = %m44"]
    said = refusal(recipe("gin/x.gin", "\n".join(lines)))
    assert "the macros in train.note expand to more than 100,000 values" in said


def test_a_long_chain_of_macros_is_refused(recipe):
    chain = [f"m{n} = %m{n - 1}" for n in range(1, 2000)]
    lines = [BASE, "m0 = 1", *chain, "train.note = %m1999"]
    said = refusal(recipe("gin/x.gin", "\n".join(lines)))
    assert "more than 50 deep" in said


def test_a_key_that_is_a_list_is_named(recipe):
    x = recipe("gin/x.gin", BASE + "m = [1]\ntrain.note = {%m: 1}\n")
    assert "train.note has a key that is a list or a mapping" in refusal(x)


@pytest.mark.parametrize("name", ["x" * 5000, "\\x00"])
def test_a_name_that_no_file_can_have(recipe, name):
    said = refusal(recipe("gin/x.gin", f"include '{name}'\n"))
    assert said.startswith("there is no recipe '")
