"""Laws outside of pytest: what a verdict says."""

from __future__ import annotations

from sslkit.testing import Broken, Law, Subject
from sslkit.testing.judging import judge, missing
from sslkit.testing.law import Elsewhere, Unjudged


class Thing:
    def __init__(self, backbone, *, dim, name="thing"):
        pass


def holds(subject):
    """Nothing is wrong."""


def breaks(subject):
    """Something is wrong."""
    raise Broken("it is\n 3", "Make it 4")


def cannot_build(subject):
    """It cannot be judged."""
    raise Unjudged("it cannot be built", "no layer")


def is_elsewhere(subject):
    """Its devices are elsewhere."""
    raise Elsewhere("there is no GPU here")


def falls_over(subject):
    """The plugin raises what no law foresaw."""
    raise KeyError("x")


def test_a_verdict_for_each_law():
    subject = Subject(Thing, {})
    rules = [holds, breaks, cannot_build, cannot_build, is_elsewhere, falls_over]
    assert [tuple(v) for v in judge(Law(rule, subject) for rule in rules)] == [
        ("holds", "passed", ""),
        ("breaks", "failed", "it is 3. Make it 4."),
        ("cannot build", "not judged", "it cannot be built. no layer."),
        ("cannot build", "not judged", "as above"),
        ("is elsewhere", "skipped", "there is no GPU here"),
        ("falls over", "failed", "KeyError: 'x'"),
    ]


def test_what_is_missing_is_what_has_no_default():
    assert missing(Subject(Thing, {"backbone": None})) == ["dim"]
