"""Recipes of several stages."""

from __future__ import annotations

import pytest

from sslkit.config import read, read_stage, read_stages
from sslkit.errors import UserError

FULL = "gin/fnc_r50_full.gin"


def bound(resolution, key):
    found = {binding.key: binding.value for binding in resolution.bindings}
    return found.get(key)


def stage(name, *overrides, recipes=(FULL,)):
    return read_stage(read_stages(recipes), name, overrides, workdir="W")


@pytest.fixture
def chain(tmp_path):
    """Writes a recipe of two stages with further lines."""

    def write(*lines):
        path = tmp_path / "chain.gin"
        path.write_text(
            "stages.first = 'gin/fnc_digits_pretrain.gin'\n"
            "stages.second = 'gin/digits_linear.gin'\n" + "\n".join(lines)
        )
        return [str(path)]

    return write


def test_stages_come_in_the_order_they_are_written():
    assert list(read_stages([FULL]).recipes) == [
        "pretrain",
        "linear",
        "finetune_1pct",
        "finetune_10pct",
    ]
    assert not read_stages(["gin/fnc_r50_linear.gin"]).recipes


def test_a_stage_is_its_recipe_started_from_the_first():
    alone = read(["gin/fnc_r50_linear.gin"], ["train.initialize = 'W/pretrain'"])
    assert stage("linear").render() == alone.render()
    assert stage("pretrain").render() == read(["gin/fnc_r50_pretrain.gin"]).render()


def test_a_start_that_the_user_gives_is_used():
    found = stage("linear", "linear/train.initialize = 'model.ckpt-7'")
    assert bound(found, "train.initialize") == "model.ckpt-7"


def test_an_override_holds_for_every_stage_that_uses_it_or_for_one():
    overrides = (
        "train.seed = 7",
        "objectives.fnc.topk = 3",
        "linear/train.seed = 8",
        "train.batch_size = 64",
    )
    pretrain, linear = stage("pretrain", *overrides), stage("linear", *overrides)
    assert bound(pretrain, "train.seed") == 7
    assert bound(linear, "train.seed") == 8
    assert bound(pretrain, "objectives.fnc.topk") == 3
    assert bound(linear, "train.batch_size") == 64


def test_bindings_beside_the_stages_hold_like_overrides(chain):
    recipes = chain("train.seed = 5", "second/train.seed = 6", "first/support = 1")
    assert bound(stage("first", recipes=recipes), "train.seed") == 5
    assert bound(stage("first", recipes=recipes), "objectives.fnc.support") == 1
    assert bound(stage("second", recipes=recipes), "train.seed") == 6
    over = stage("second", "train.seed = 9", recipes=recipes)
    assert bound(over, "train.seed") == 9


@pytest.mark.parametrize("name", ["pretrain", "linear"])
def test_an_override_that_no_stage_uses_is_refused_by_each(name):
    with pytest.raises(
        UserError, match=r"optimizers\.adam\.epsilon = 1' has no effect"
    ):
        stage(name, "optimizers.adam.epsilon = 1")


def test_an_override_for_a_stage_that_does_not_use_it_is_refused():
    override = "linear/objectives.fnc.topk = 3"
    with pytest.raises(UserError, match="has no effect"):
        stage("linear", override)


def test_an_override_for_a_misspelled_stage_names_the_stages():
    with pytest.raises(
        UserError, match=r"'liner'. Did you mean 'linear'\? Stages: pre"
    ):
        stage("pretrain", "liner/train.epochs = 3")


@pytest.mark.parametrize(
    ("name", "lines", "words"),
    [
        ("secnd", [], "there is no stage 'secnd'. Did you mean 'second'?"),
        (
            "first",
            ["stages.third = 3"],
            "stages.third is 3 .* it must be the stage.s recipe",
        ),
        ("third", ["stages.third = 'gin/fcn.gin'"], "no recipe 'gin/fcn.gin'"),
        ("first", ["train.epoch = 3"], "no parameter 'epoch' .*chain.gin:3.*epochs"),
    ],
)
def test_bad_stages(chain, name, lines, words):
    with pytest.raises(UserError, match=words):
        stage(name, recipes=chain(*lines))


def test_a_command_for_one_run_needs_a_stage():
    with pytest.raises(UserError, match=r"full.gin:\d+ makes .* several .* --stage"):
        read([FULL])
