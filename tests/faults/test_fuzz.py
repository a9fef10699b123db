"""A hundred wrong inputs; `python tests/faults/fuzz.py` tries thousands."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import time

import pytest
from faults.fuzz import KINDS, target_class
from faults.fuzzing import READ, REFUSED, Finding, Target, attempt, damaged

from sslkit.errors import UserError

COUNTS = {
    "recipes": 60,
    "images": 20,
    "records": 5,
    "datasets": 0,  # 1 s each; the command tries them
    "checkpoints": 8,
    "workdirs": 5,
    "plugins": 4,
}


@pytest.mark.parametrize("kind", KINDS)
def test_each_input_is_read_or_skipped_or_refused_in_one_line(kind, tmp_path):
    if not COUNTS[kind]:
        pytest.skip("left to the command")
    target = target_class(kind)(tmp_path)
    for number in range(COUNTS[kind]):
        attempt(target, number, seed=0)


class Scripted(Target):
    """Ends with a given outcome."""

    name = "scripted"
    seconds = 0.05

    def __init__(self, end):
        self._end = end

    def attempt(self, draw):
        return self._end()


def refuse(text):
    raise UserError(text)


def test_an_input_that_is_handled_is_not_a_finding():
    assert attempt(Scripted(lambda: READ), 0, 0) == READ
    assert attempt(Scripted(lambda: refuse("one line")), 0, 0) == REFUSED


@pytest.mark.parametrize(
    ("end", "said"),
    [
        (lambda: 1 / 0, "ZeroDivisionError"),
        (lambda: sys.exit(3), "SystemExit"),
        (lambda: refuse("two\nlines"), "not one line"),
        (lambda: refuse(""), "not one line"),
        (lambda: time.sleep(5), r"takes over 0\.05 s"),
    ],
)
def test_an_input_that_is_not_handled_is_a_finding(end, said):
    with pytest.raises(Finding, match=rf"scripted:7 of seed 3: {said}"):
        attempt(Scripted(end), 7, 3)


def test_an_input_that_ends_its_process_is_found_and_the_rest_is_tried(repository):
    code = """
        import os
        from faults import fuzz
        from faults.fuzzing import READ, Target

        class Fatal(Target):
            name = "recipes"

            def __init__(self, folder):
                self.count = 0

            def attempt(self, draw):
                if draw.random() < 0.3:
                    os.abort()
                return READ

        fuzz.target_class = lambda kind: Fatal
        outcomes, found = fuzz.fuzz("recipes", 20, seed=0, say=print)
        assert outcomes["read"] + outcomes["found"] == 20, outcomes
        assert 1 <= len(found) < 15
        assert all("ends the process with -6" in line for line in found), found
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        cwd=repository / "tests",
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_an_input_is_a_function_of_its_number():
    import random

    data = bytes(range(200))
    first, again, other = (damaged(data, random.Random(n)) for n in (1, 1, 2))
    assert first == again
    assert first != other
