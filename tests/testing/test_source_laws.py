"""Each law of sources finds the bug it is named after."""

from __future__ import annotations

import pytest
from testing.broken import sources as broken

from sslkit.api import Source
from sslkit.testing import RULES, laws_of, style_laws_of

CASES = [
    (
        "returns_uint8_images_and_int32_labels",
        "FloatImages",
        r"image of float32 \[2, 2, 3\]",
    ),
    ("returns_uint8_images_and_int32_labels", "NoExamples", "`size` is 0"),
    ("returns_uint8_images_and_int32_labels", "NumpyImages", "fails inside tf.data"),
    ("reads_the_same_each_time", "DrawnImages", "is different when it is read"),
    ("labels_agree", "OtherLabels", "0 by `label` and 1 by `labels`"),
    ("labels_agree", "TooManyLabels", "has the label 1, but `classes` is 1"),
    ("labels_agree", "NamelessClass", "1 `label_names` and 2 `classes`"),
    ("refuses_a_split_that_does_not_exist", "AnySplit", "opens a split"),
    ("refuses_a_split_that_does_not_exist", "RawError", "fails with KeyError"),
    ("describes_its_examples_differently", "OneName", "`describe` gives"),
    ("describes_its_examples_differently", "Counted", "`record` is different"),
]


@pytest.mark.parametrize(("name", "plugin", "found"), CASES)
def test_finds_the_bug(name, plugin, found):
    law = next(c for c in laws_of(getattr(broken, plugin)) if c.name == name)
    words = name.replace("_", " ")
    with pytest.raises(AssertionError, match=f"breaks the law '{words}': .*{found}"):
        law()


@pytest.mark.parametrize("plugin", sorted({case[1] for case in CASES}))
def test_finds_no_other(plugin):
    caught = {case[0] for case in CASES if case[1] == plugin}
    broken_laws = set()
    for law in laws_of(getattr(broken, plugin)):
        try:
            law()
        except AssertionError:
            broken_laws.add(law.name)
        except Exception:  # what stands on a broken law may fail in any way
            pass
    assert broken_laws == caught


def test_passes_what_is_healthy():
    for law in [*laws_of(broken.Plain), *style_laws_of(broken.Plain)]:
        law()


def test_every_law_can_fail():
    rules = {rule.__name__ for rule in RULES[Source]}
    assert {case[0] for case in CASES} == rules - {"constructor_spells_its_parameters"}
