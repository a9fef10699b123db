"""Checking laws without pytest: the result of each law."""

from __future__ import annotations

from sslkit.testing import Broken, Law, Subject
from sslkit.testing.checking import check_laws, missing
from sslkit.testing.law import NotChecked, Unavailable


class Thing:
    def __init__(self, backbone, *, dim, name="thing"):
        pass


def holds(subject):
    """Nothing is wrong."""


def breaks(subject):
    """Something is wrong."""
    raise Broken("it is\n 3", "Make it 4")


def cannot_build(subject):
    """It cannot be checked."""
    raise NotChecked("it cannot be built", "no layer")


def is_elsewhere(subject):
    """Its devices are elsewhere."""
    raise Unavailable("there is no GPU here")


def falls_over(subject):
    """The plugin raises an unexpected error."""
    raise KeyError("x")


def test_each_law_has_a_result():
    subject = Subject(Thing, {})
    rules = [holds, breaks, cannot_build, cannot_build, is_elsewhere, falls_over]
    assert [tuple(v) for v in check_laws(Law(rule, subject) for rule in rules)] == [
        ("holds", "passed", ""),
        ("breaks", "failed", "it is 3. Make it 4."),
        ("cannot build", "not checked", "it cannot be built. no layer."),
        ("cannot build", "not checked", "as above"),
        ("is elsewhere", "skipped", "there is no GPU here"),
        ("falls over", "failed", "KeyError: 'x'"),
    ]


def test_keywords_without_a_default_are_missing():
    assert missing(Subject(Thing, {"backbone": None})) == ["dim"]
