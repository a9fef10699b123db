"""Each law of evaluations finds the bug it is named after, and no other."""

from __future__ import annotations

import pytest
from testing import broken_evaluations as broken

from sslkit.api import Evaluation
from sslkit.testing import RULES, laws_of

CASES = [
    ("returns_scores", "Plain", "it must be a list of sslkit.api.Score"),
    ("returns_scores", "NotFinite", "gain of 'nearest middle' that is nan"),
    ("returns_scores", "Percent", "must be a share"),
    ("returns_scores", "TakenName", "called 'n_test', which results use"),
    ("returns_scores", "OneName", "its protocols are"),
    ("returns_scores", "NothingRead", "reads 'feature'; `reads` must be one of"),
    ("returns_scores", "WantsMore", "refuses 200 examples of 10 classes: too few"),
    ("gives_the_same_numbers_each_time", "Drawn", "and then"),
    ("gives_the_same_numbers_each_time", "Counted", "and then"),
    ("does_not_change_the_features", "InPlace", "changes the arrays"),
    ("tells_good_features_from_bad", "OutOfOrder", "easy to classify, top1 is 0"),
    ("tells_good_features_from_bad", "Constant", "to classify, and also for noise"),
    ("does_not_learn_from_the_test_split", "Peeks", r"top1 is 1\.000"),
    ("accepts_a_bank_without_a_class", "Present", "without class 3"),
    ("accepts_equal_features", "Undivided", "all 0"),
]


@pytest.mark.parametrize(("name", "plugin", "found"), CASES)
def test_finds_the_bug_and_no_other(name, plugin, found):
    words = name.replace("_", " ")
    for law in laws_of(getattr(broken, plugin)):
        if law.name == name:
            said = f"breaks the law '{words}': .*{found}"
            with pytest.raises(AssertionError, match=said):
                law()
        else:
            law()


def test_passes_what_is_healthy():
    for law in laws_of(broken.Middles):
        law()


def test_every_law_can_fail():
    rules = {rule.__name__ for rule in RULES[Evaluation]}
    assert {case[0] for case in CASES} == rules - {"constructor_spells_its_parameters"}
