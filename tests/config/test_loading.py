"""Loading: gin's wrappers around real classes, and errors that stay one line."""

from __future__ import annotations

import sys

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


def test_factories_arrive_as_classes_and_instances_as_instances(x):
    config = load([x])
    toys = sys.modules["toy_plugins"]
    got = config.train(workdir="w")
    assert got["workdir"] == "w"
    assert issubclass(got["objective"], toys.Toy)
    assert got["objective"].__name__ == "Toy"
    assert type(got["augmentation"]) is toys.Flip
    assert got["augmentation"].groups == {"instance": (2, 32)}
    assert type(got["schedule"]) is toys.Falling


def test_a_factory_makes_the_class_itself_with_its_bindings(x):
    toys_objective = load([x]).train()["objective"]()
    toys = sys.modules["toy_plugins"]
    # Not a subclass made by gin: pickling, paths and isinstance see the plugin's own.
    assert type(toys_objective) is toys.Toy
    assert toys_objective.temperature == 0.5
    assert isinstance(toys_objective, keras.layers.Layer)
    # Two backbones from one factory, each bound, each named by the objective.
    assert type(toys_objective.online) is type(toys_objective.twin) is toys.Tiny
    assert [toys_objective.online.feature_dim, toys_objective.twin.width] == [7, 7]
    assert [toys_objective.online.name, toys_objective.twin.name] == ["online", "twin"]


def test_the_caller_wins(x):
    config = load([x])
    assert config.train()["objective"](temperature=0.25).temperature == 0.25
    assert config.data(name="other")["name"] == "other"


def test_every_evaluated_reference_is_a_fresh_object(x):
    config = load([x])
    assert config.train()["schedule"] is not config.train()["schedule"]


def test_seams_can_be_values(x):
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


def test_what_only_gin_can_see_is_one_line_with_its_place(recipe):
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
    line = str(caught.value)
    assert line.startswith("gin/x.gin:3: ValueError: ")
    assert "'sise'" in line
    assert "\n" not in line


def test_an_unbound_argument_is_asked_for(recipe):
    x = recipe("gin/x.gin", "train.epochs = 3\n")
    with pytest.raises(UserError) as caught:
        load([x]).train()
    assert str(caught.value) == (
        "train.objective must be bound. Choose a recipe that does, or add --set "
        "'train.objective = …'."
    )


def test_a_plugins_own_refusal_loses_what_gin_adds(x, monkeypatch):
    config = load([x], ["objectives.toy.temperature = 0"])
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
