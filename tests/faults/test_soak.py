"""Comparison of the results of runs, and a few kills; tests/faults/soak.py has more."""

from __future__ import annotations

import subprocess
import sys

import pytest
from faults import comparison

from sslkit.api import RunInfo
from sslkit.reporters import TensorBoard


def told(folder, start, *numbers):
    """Reports numbers like a run that begins at a step and is then killed."""
    board = TensorBoard()
    board.open(RunInfo(str(folder), start, 9, "", {}, {}))
    for step, loss in numbers:
        board.write(step, {"loss": loss}, time=1.0, machine={"speed": 3.0})
    return folder / "tensorboard"


def test_curves_are_those_of_a_run_that_was_not_killed(tmp_path):
    whole = told(tmp_path / "whole", 0, (1, 5.0), (2, 4.0), (3, 3.0))
    told(tmp_path / "killed", 0, (1, 5.0))
    told(tmp_path / "killed", 0, (1, 5.0), (2, 4.0), (3, 3.0))
    killed = told(tmp_path / "killed", 2, (3, 3.0))
    wanted = comparison.scalars(whole)
    assert [step for step, _ in wanted["loss"]] == [1, 2, 3]
    assert wanted.keys() == {"loss"}
    assert comparison.scalars(killed) == wanted


def test_an_incomplete_file_is_read_up_to_its_last_complete_record(tmp_path):
    folder = told(tmp_path, 0, (1, 5.0), (2, 4.0))
    (path,) = folder.iterdir()
    path.write_bytes(path.read_bytes()[:-3])
    assert [step for step, _ in comparison.scalars(folder)["loss"]] == [1]


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ({"a": [1, 2.0], "b": "x"}, []),
        ({"a": [1, 2], "b": "x"}, ["/a/1: 2.0 wanted, 2 found"]),
        ({"a": [1], "b": "x"}, ["/a: 2 entries wanted, 1 found"]),
        ({"a": [1, 2.0]}, ["/b: x wanted, None found"]),
    ],
)
def test_each_difference_is_named(found, said):
    assert comparison.differences({"a": [1, 2.0], "b": "x"}, found) == said


@pytest.mark.slow
def test_a_run_that_is_killed_again_and_again_leaves_the_same_bits(
    repository, tmp_path
):
    script = repository / "tests" / "faults" / "soak.py"
    done = subprocess.run(
        [sys.executable, script, "--kinds", "pretrain", "--times", "7"],
        cwd=repository,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert " 0 differences; seed 0" in done.stdout
