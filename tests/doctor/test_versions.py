"""Versions that do not work together are named, with the next move."""

from __future__ import annotations

import pytest

from sslkit import environment
from sslkit.doctor.versions import CLASHES, _python, clashes, unmet

FINE = {
    "tensorflow": "2.21.0",
    "protobuf": "7.36.2",
    "tensorflow-metadata": "1.21.0",
    "tensorflow-datasets": "4.9.10",
    "scikit-learn": "1.9.1",
    "numpy": "2.4.6",
    "gin-config": "0.5.0",
}


def said(versions):
    found = list(clashes(versions))
    assert all(finding.level == "broken" for finding in found)
    return [finding.said for finding in found]


def test_versions_that_work_together_are_not_reported():
    assert said(FINE) == []


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"protobuf": "5.29.5"}, "tensorflow-metadata 1.21.0 and protobuf 5.29.5 no"),
        ({"tensorflow-datasets": "4.9.8"}, "'tensorflow-datasets>=4.9.10'"),
        ({"scikit-learn": "1.3.0"}, "scikit-learn cannot be imported"),
        ({"gin": "0.1.6"}, "pip uninstall gin"),
        ({"tensorflow-cpu": "2.21.0"}, "tensorflow and tensorflow-cpu are installed"),
        ({"tensorflow-tpu": "2.20.0", "libtpu": "1"}, "must have the same version"),
        ({"tensorflow-tpu": "2.21.0"}, "without libtpu finds no TPU"),
    ],
)
def test_versions_that_do_not_work_together_are_named(changed, words):
    (line,) = said(FINE | changed)
    assert words in line


def test_a_missing_tensorflow_is_named():
    assert said({"numpy": "2.4.6"}) == [
        "it is not installed. pip install sslkit, or '.'"
    ]


def test_every_known_clash_is_one_that_versions_can_have():
    for clash in CLASHES:
        assert len(clash.versions) == 2 and "pip " in clash.said


def test_requirements_that_are_not_met_are_named():
    numpy = environment.version("numpy")
    lines = [
        "numpy>=999",
        "no-such-distribution-xyz>=1",
        "numpy>=1",
        "numpy<0 ; extra == 'test'",
        "numpy<0 ; python_version < '3'",
        "what is this?",
    ]
    assert [finding.said for finding in unmet({"acme": lines})] == [
        f"acme needs numpy>=999, not {numpy}. pip install 'numpy>=999'",
        "acme needs no-such-distribution-xyz, which is not installed. pip install "
        "'no-such-distribution-xyz>=1'",
    ]


@pytest.mark.parametrize(
    ("version", "level"), [((3, 10), "broken"), ((3, 11), "ok"), ((3, 14), "broken")]
)
def test_the_version_of_python_is_checked(version, level):
    assert _python(version).level == level
