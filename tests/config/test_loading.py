"""Loading: objects and factories with their bindings, and one-line errors."""

from __future__ import annotations

import inspect
import sys
import threading

import gin
import keras
import pytest

from sslkit.config import load
from sslkit.errors import UserError

RECIPE = """\
    train.objective = @objectives.toy
    train.augmentation = @augmentations.toy_flip()
    train.schedule = @schedules.toy_falling()
    objectives.toy.backbone = @backbones.tiny
    objectives.toy.temperature = 0.5
    backbones.tiny.width = 7
    augmentations.toy_flip.size = 32
    data.name = 'cifar10'
    evaluate.data = @data()
"""


@pytest.fixture
def x(recipe):
    return recipe("gin/x.gin", RECIPE)


def test_references_become_factories_or_objects(x):
    config = load([x])
    toys = sys.modules["toy_plugins"]
    got = config.train(workdir="w")
    assert got["workdir"] == "w"
    assert got["objective"].__name__ == "Toy"
    assert inspect.signature(got["objective"]) == inspect.signature(toys.Toy)
    assert type(got["objective"]()) is toys.Toy
    assert type(got["augmentation"]) is toys.Flip
    assert got["augmentation"].groups == {"instance": (2, 32)}
    assert type(got["schedule"]) is toys.Falling


def test_a_factory_makes_the_class_itself_with_its_bindings(x):
    toys_objective = load([x]).train()["objective"]()
    toys = sys.modules["toy_plugins"]
    assert type(toys_objective) is toys.Toy
    assert toys_objective.temperature == 0.5
    assert isinstance(toys_objective, keras.layers.Layer)
    # Two backbones from one factory, each bound, each named by the objective.
    assert type(toys_objective.online) is type(toys_objective.twin) is toys.Tiny
    assert [toys_objective.online.feature_dim, toys_objective.twin.width] == [7, 7]
    assert [toys_objective.online.name, toys_objective.twin.name] == ["online", "twin"]


def test_arguments_of_the_caller_replace_bindings(x):
    config = load([x])
    assert config.train()["objective"](temperature=0.25).temperature == 0.25
    assert config.data(name="other")["name"] == "other"


def test_every_evaluated_reference_is_a_fresh_object(x):
    config = load([x])
    assert config.train()["schedule"] is not config.train()["schedule"]


def test_functions_of_the_core_can_be_values(x):
    config = load([x], data_dir="d")
    assert config.evaluate()["data"] == {"name": "cifar10", "data_dir": "d"}


def test_loads_again_and_again_in_one_process(x, recipe):
    assert load([x]).train()["epochs"] == 1
    assert load([x], ["train.epochs = 4"]).train()["epochs"] == 4
    y = recipe("gin/y.gin", "train.objective = @objectives.toy\n")
    config = load([y])
    assert config.train()["epochs"] == 1
    assert config.train()["augmentation"] is None
    assert config.train()["objective"]().temperature == 0.1


def test_the_rendered_text_loads_to_the_same_run(x, recipe):
    first = load([x], ["train.note = [1, 'a']"])
    text = first.resolution.render()
    second = load([recipe("kept.gin", text)])
    assert second.resolution.render().splitlines()[1:] == text.splitlines()[1:]
    assert second.train()["note"] == [1, "a"]
    assert second.train()["objective"]().temperature == 0.5


def test_scopes_give_two_configurations_of_one_class(recipe):
    x = recipe(
        "gin/x.gin",
        """\
        train.objective = @objectives.toy
        train.note = @slow/objectives.toy
        objectives.toy.temperature = 0.5
        slow/objectives.toy.temperature = 0.25
        """,
    )
    got = load([x]).train()
    assert got["objective"]().temperature == 0.5
    assert got["note"]().temperature == 0.25


def test_only_plugins_in_use_are_imported(x):
    config = load([x])
    assert sorted(config.plugins) == [
        "augmentations.toy_flip",
        "backbones.tiny",
        "objectives.toy",
        "schedules.toy_falling",
    ]
    assert "toy_broken" not in sys.modules


def test_a_broken_plugin_in_use_is_named(x):
    with pytest.raises(UserError) as caught:
        load([x], ["train.objective = @objectives.toy_broken"])
    assert str(caught.value).startswith("objectives.toy_broken of acme-toys 1.0 ")
    assert "RuntimeError: toy_broken was imported" in str(caught.value)


def test_an_error_that_only_the_class_can_find_names_its_place(recipe):
    # toy_hidden is a data class, so reading lets it pass.
    x = recipe(
        "gin/x.gin",
        """\
        train.objective = @objectives.toy
        train.augmentation = @augmentations.toy_hidden()
        augmentations.toy_hidden.sise = 3
        """,
    )
    with pytest.raises(UserError) as caught:
        load([x])
    assert str(caught.value) == (
        "augmentations.toy_hidden has no parameter 'sise' (gin/x.gin:3). Did you mean "
        "'size'? It takes: size."
    )


def test_a_missing_argument_is_an_error_that_names_it(recipe):
    x = recipe("gin/x.gin", "train.epochs = 3\n")
    with pytest.raises(UserError) as caught:
        load([x]).train()
    assert str(caught.value) == (
        "train.objective must be set. Use a recipe that sets it, or add --set "
        "'train.objective = …'."
    )


def test_a_plugins_own_error_is_not_changed(x, monkeypatch):
    load([x])
    core = sys.modules["toy_core"]

    # The factory is called inside train, as the core does.
    def train(*, objective, augmentation, schedule):
        return objective()

    monkeypatch.setattr(core, "train", train)
    config = load([x], ["objectives.toy.temperature = 0"])
    with pytest.raises(UserError) as caught:
        config.train()
    assert str(caught.value) == "temperature 0 is not positive."


def test_an_error_inside_train_keeps_its_cause(x, monkeypatch):
    load([x])

    def train(*, objective, augmentation, schedule):
        try:
            raise KeyError("inner")
        except KeyError as error:
            raise RuntimeError("outer") from error

    monkeypatch.setattr(sys.modules["toy_core"], "train", train)
    with pytest.raises(RuntimeError, match=r"^outer$") as caught:
        load([x]).train()
    assert isinstance(caught.value.__cause__, KeyError)


def test_an_error_in_a_constructor_names_the_place_of_the_reference(x, monkeypatch):
    config = load([x])
    toys = sys.modules["toy_plugins"]

    def broken(self, *, width, name="tiny"):
        raise ValueError("no such width\nand more")

    monkeypatch.setattr(toys.Tiny, "__init__", broken)
    make = config.train()["objective"]
    with pytest.raises(UserError) as caught:
        make()
    assert str(caught.value) == (
        "@backbones.tiny cannot be built for objectives.toy.backbone (gin/x.gin:4): "
        "ValueError: no such width."
    )
    assert isinstance(caught.value.__cause__, ValueError)


def test_two_configurations_do_not_affect_each_other(x):
    warm, cold = (
        load(
            [x], [f"objectives.toy.temperature = {heat}", f"backbones.tiny.width = {w}"]
        )
        for heat, w in ((0.9, 3), (0.1, 5))
    )
    made = warm.train()["objective"]
    other = cold.train()["objective"]()
    assert (other.temperature, other.online.width) == (0.1, 5)
    assert (made().temperature, made().online.width) == (0.9, 3)


def test_the_users_own_gin_bindings_are_not_changed(x):
    @gin.configurable("mine", module="tests")
    def mine(x=1):
        return x

    gin.bind_parameter("mine.x", 7)
    load([x]).train()["objective"]()
    assert mine() == 7
    assert not gin.config_is_locked()
    gin.bind_parameter("mine.x", 8)
    assert mine() == 8
    gin.clear_config()


def test_works_in_a_thread(x):
    found = []
    config = load([x])
    thread = threading.Thread(
        target=lambda: found.append(config.train()["objective"]())
    )
    thread.start()
    thread.join()
    assert found[0].temperature == 0.5


def test_a_scope_holds_for_nested_objects_and_an_inner_scope_replaces_it(recipe):
    x = recipe(
        "gin/x.gin",
        """\
        train.objective = @slow/objectives.toy
        train.note = [@objectives.toy(), {'deep': @slow/extra/objectives.toy()}]
        objectives.toy.backbone = @backbones.tiny
        backbones.tiny.width = 3
        slow/backbones.tiny.width = 5
        slow/extra/backbones.tiny.width = 6
        slow/objectives.toy.temperature = 0.25
        """,
    )
    got = load([x]).train()
    plain, deep = got["note"][0], got["note"][1]["deep"]
    scoped = got["objective"]()
    assert (plain.temperature, plain.online.width) == (0.1, 3)
    assert (scoped.temperature, scoped.online.width) == (0.25, 5)
    assert (deep.temperature, deep.online.width) == (0.25, 6)


def test_a_reference_with_another_scope_replaces_the_outer_scope(recipe):
    x = recipe(
        "gin/x.gin",
        """\
        train.objective = @slow/objectives.toy
        objectives.toy.backbone = @fast/backbones.tiny
        slow/backbones.tiny.width = 5
        fast/backbones.tiny.width = 7
        """,
    )
    assert load([x]).train()["objective"]().online.width == 7


def test_positional_arguments_replace_bindings_too(x):
    toys_objective = load([x]).train()["objective"]
    toys = sys.modules["toy_plugins"]

    def wide(name):
        return toys.Tiny(width=99, name=name)

    assert toys_objective(wide).online.width == 99


def test_mutable_values_are_not_shared(x):
    config = load([x], ["train.note = [{'a': [1]}]"])
    config.train()["note"][0]["a"].append(2)
    assert config.train()["note"] == [{"a": [1]}]


def test_arguments_that_the_caller_gives_are_not_built(x, monkeypatch):
    config = load([x])

    def broken(self, **given):
        raise ValueError("built")

    monkeypatch.setattr(sys.modules["toy_plugins"].Flip, "__init__", broken)
    assert config.train(augmentation="mine")["augmentation"] == "mine"
    with pytest.raises(UserError, match="built"):
        config.train()
