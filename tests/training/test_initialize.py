"""Starting from another run's weights."""

from __future__ import annotations

import os

import pytest

from sslkit.api import UserError
from sslkit.checkpoints import Checkpoints, find_checkpoint
from sslkit.training.initialize import initialize


@pytest.fixture
def other_run(tmp_path, table):
    """A workdir with two checkpoints."""
    store = Checkpoints(os.path.join(tmp_path, "checkpoints"))
    values = {"encoder/a": 1.0, "encoder/b": 2.0, "head/c": 3.0, "step": 5}
    store.save(table(**{**values, "step": 4}), step=4)
    store.save(table(**values), step=5)
    return str(tmp_path)


@pytest.fixture
def fresh(table):
    return table(**{"encoder/a": 0.0, "encoder/b": 0.0, "classifier/d": 0.0, "step": 0})


def values(table):
    return [float(variable.numpy()) for variable in table.values()]


def test_a_workdir_means_its_latest(other_run):
    latest = os.path.join(other_run, "checkpoints", "step_00000005")
    assert find_checkpoint(other_run) == latest
    earlier = os.path.join(other_run, "checkpoints", "step_00000004")
    assert find_checkpoint(earlier) == earlier


def test_sets_what_the_patterns_match(other_run, fresh):
    said = initialize(fresh, other_run, ["encoder/"])
    assert values(fresh) == [1.0, 2.0, 0.0, 0.0]
    assert said.startswith("initialised 2 variables from ")
    assert said.endswith("from scratch: classifier, step")


def test_patterns_match_at_the_start_of_a_name(other_run, fresh):
    initialize(fresh, other_run, ["encoder/b", "step"])
    assert values(fresh) == [0.0, 2.0, 0.0, 5.0]


def test_a_pattern_without_a_variable_is_named(other_run, fresh):
    with pytest.raises(
        UserError,
        match=r"'b' matches the start of no variable's name\. Near it: encoder/b; "
        "names start with classifier, encoder, step",
    ):
        initialize(fresh, other_run, ["encoder/", "b"])
    assert values(fresh) == [0.0] * 4


def test_what_the_checkpoint_lacks_is_named(other_run, fresh):
    with pytest.raises(UserError, match=r"lacks 1 of 3 .* first 'classifier/d'"):
        initialize(fresh, other_run, ["encoder/", "classifier/"])
    assert values(fresh) == [0.0] * 4


def test_says_where_it_looked(tmp_path, fresh):
    with pytest.raises(UserError, match=r"no checkpoint at .*nowhere.* Name a workdir"):
        initialize(fresh, str(tmp_path / "nowhere"), ["encoder/"])
