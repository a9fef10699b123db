"""Epochs that a command gives are not passed over where steps are set."""

from __future__ import annotations

import pytest

from sslkit.config import read, read_each
from sslkit.errors import UserError

EPOCHS = "gin/simclr_digits_pretrain.gin"
FULL = "gin/fnc_digits_full.gin"


@pytest.fixture
def steps(tmp_path):
    """A recipe that includes one with epochs, and sets steps itself."""
    path = tmp_path / "steps.gin"
    path.write_text(f"include '{EPOCHS}'\ntrain.steps = 300\n")
    return str(path)


def length(recipe, *overrides):
    found = {b.key: b.value for b in read([recipe], overrides).bindings}
    return found["train.epochs"], found.get("train.steps")


def test_recipes_may_bind_both(steps):
    assert length(steps) == (40, 300)
    assert length(steps, "train.steps = 5") == (40, 5)


def test_epochs_where_a_recipe_sets_steps_are_refused(steps):
    with pytest.raises(UserError) as caught:
        length(steps, "train.epochs = 7")
    assert str(caught.value) == (
        f"--set 'train.epochs = 7' has no effect: train.steps = 300 ({steps}:2) "
        "decides the length of the run. Set train.steps instead, or add --set "
        "'train.steps = None'."
    )


def test_both_on_the_command_line_are_refused():
    with pytest.raises(UserError, match=r"steps = 3' *\) decides .* one of them\.$"):
        length(EPOCHS, "train.steps = 3", "train.epochs = 7")


def test_without_steps_the_epochs_decide(steps):
    assert length(steps, "train.epochs = 7", "train.steps = None") == (7, None)
    assert length(EPOCHS, "train.epochs = 7") == (7, None)
    assert length(steps, "train.epochs = None") == (None, 300)


def test_a_macro_of_the_command_line_counts(tmp_path):
    path = tmp_path / "macro.gin"
    path.write_text(
        f"include '{EPOCHS}'\nlong = 9\ntrain.epochs = %long\ntrain.steps = 300\n"
    )
    assert length(str(path)) == (9, 300)
    with pytest.raises(
        UserError, match=r"--set 'long = 7' has no effect: train\.steps"
    ):
        length(str(path), "long = 7")


def test_stages_are_each_looked_at(tmp_path):
    def both(recipe, *overrides):
        return list(read_each([recipe], overrides, workdir="W"))

    assert both(FULL, "train.epochs = 2") == ["pretrain", "linear"]
    assert both(FULL, "pretrain/train.epochs = 2", "linear/train.steps = 3")
    with pytest.raises(UserError, match=r"'linear/train\.epochs = 2' has no effect"):
        both(FULL, "linear/train.epochs = 2", "train.steps = 3")
    above = tmp_path / "above.gin"
    above.write_text(f"include '{FULL}'\npretrain/train.epochs = 2\n")
    assert both(str(above), "train.steps = 3") == ["pretrain", "linear"]
