"""The resolved configuration as text, and the comparison of two of them."""

from __future__ import annotations

import pytest

from sslkit.config import difference, read
from sslkit.errors import UserError

RECIPE = """\
    include 'gin/parts/p.gin'
    train.schedule = @schedules.toy_falling()
    train.objective = @slow/objectives.toy
    objectives.toy.backbone = @backbones.tiny
    slow/objectives.toy.temperature = %heat
    train.note = ['a "b"', -1e-05, None, True, {'k': (1,)}, @backbones.tiny, 'é\\n']
"""


@pytest.fixture
def resolution(recipe):
    recipe("gin/parts/p.gin", "heat = 0.2\ndata.name = 'cifar10'\n")
    return read([recipe("gin/x.gin", RECIPE)])


def test_renders_sorted_text(resolution):
    assert resolution.render() == (
        "# Resolved from gin/x.gin.\n"
        "\n"
        "data.name = 'cifar10'\n"
        "\n"
        "objectives.toy.backbone = @backbones.tiny\n"
        "\n"
        "slow/objectives.toy.temperature = 0.2\n"
        "\n"
        "train.note = ['a \"b\"', -1e-05, None, True, {'k': (1,)}, @backbones.tiny, "
        "'é\\n']\n"
        "train.objective = @slow/objectives.toy\n"
        "train.schedule = @schedules.toy_falling()\n"
    )


def test_the_text_is_a_recipe_for_the_same_run(resolution, recipe):
    again = read([recipe("resolved.gin", resolution.render())])
    assert [(b.key, b.value) for b in again.bindings] == [
        (b.key, b.value) for b in resolution.bindings
    ]
    assert not difference(resolution.render(), again.render())


def test_places_are_comments(resolution):
    text = resolution.render(places=True)
    assert "data.name = 'cifar10'  # gin/parts/p.gin:2\n" in text
    assert not difference(text, resolution.render())


def test_the_place_of_a_value_is_where_a_macro_was_set(recipe):
    recipe("gin/parts/p.gin", "heat = 1.0\nobjectives.toy.temperature = %heat\n")
    x = recipe(
        "gin/x.gin",
        "include 'gin/parts/p.gin'\ntrain.objective = @objectives.toy\nheat = %warm\n"
        "warm = 0.5\n",
    )
    line = "objectives.toy.temperature = 0.5  # "
    assert f"{line}gin/x.gin:4\n" in read([x]).render(places=True)
    over = read([x], ["heat = 0.5"]).render(places=True)
    assert f"{line}--set 'heat = 0.5'\n" in over


def test_all_shows_what_is_not_bound_with_its_default(resolution, recipe):
    text = resolution.render(defaults=True)
    for line in (
        "objectives.toy.backbone = @backbones.tiny",
        "# objectives.toy.decay = 0.9",
        "# backbones.tiny.width = 4",
        "# train.epochs = 1",
        "# train.workdir = ''",
        "# evaluate.neighbours = 20",
        "train.objective = @slow/objectives.toy",
    ):
        assert f"\n{line}\n" in text
    # It does not show what the run does not use, and bound values only once.
    assert "margin" not in text
    assert text.count("train.objective") == 1
    again = read([recipe("all.gin", text)])
    assert again.render() == resolution.render().replace("gin/x.gin", "all.gin")


def test_defaults_that_are_constants_are_shown_by_their_values(repository, monkeypatch):
    monkeypatch.chdir(repository)
    text = read(["gin/fnc_digits_pretrain.gin"]).render(defaults=True)
    assert "# optimizers.adam.no_decay = ('(^|/)(gamma|beta)$',)\n" in text


def test_a_difference_names_both_values():
    old = "train.epochs = 5\ntrain.seed = 1\ndata.name = 'a'\nrunners.single.jit = True"
    new = "train.epochs = 8\ntrain.note = @objectives.toy\ndata.name = 'a'"
    assert difference(old, new, ignore=["runners.*"]) == [
        "train.epochs: 5 there, 8 here",
        "train.note: not set there, @objectives.toy here",
        "train.seed: 1 there, not set here",
    ]


def test_difference_refuses_what_is_not_gin():
    with pytest.raises(UserError, match="there:1 is not gin"):
        difference("<html>", "train.epochs = 1")
