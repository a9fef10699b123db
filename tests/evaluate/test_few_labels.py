"""Accuracy with a few labelled images per class."""

from __future__ import annotations

import numpy as np
import pytest

from sslkit.api import Features
from sslkit.errors import UserError
from sslkit.evaluate.few_labels import FewLabels


def features(n, *, classes=3, spread=0.1, seed=0):
    random = np.random.default_rng(seed)
    label = np.arange(n) % classes
    centres = np.eye(classes, 8)[label]
    x = centres + spread * random.standard_normal([n, 8])
    return Features(x.astype(np.float32), label.astype(np.int32), np.arange(n))


def test_one_score_for_each_number_of_images_per_class():
    scores = FewLabels(labels=(1, 5), draws=2).measure(
        features(60), features(30, seed=1), classes=3, seed=0
    )
    assert [score.protocol for score in scores] == [
        "few labels (1 per class, mean of 2 draws)",
        "few labels (5 per class, mean of 2 draws)",
    ]
    assert [score.n_train for score in scores] == [3, 15]
    assert scores[1].numbers["top1"] == 1.0


def test_more_labels_tell_more_where_classes_overlap():
    bank, test = features(300, spread=0.6), features(300, spread=0.6, seed=1)
    few, many = FewLabels(labels=(1, 30), draws=5).measure(
        bank, test, classes=3, seed=0
    )
    assert 0.4 < few.numbers["top1"] < many.numbers["top1"] - 0.05


def test_which_images_are_drawn_depends_on_the_seed_alone():
    bank, test = features(90, spread=0.6), features(300, spread=0.6, seed=1)
    few = FewLabels(labels=(2,), draws=3)
    once, again, other = (
        few.measure(bank, test, classes=3, seed=seed) for seed in (4, 4, 5)
    )
    assert once == again != other


def test_a_class_with_fewer_images_gives_all_and_it_is_said():
    bank = features(30)
    kept = np.r_[np.flatnonzero(bank.label != 2), np.flatnonzero(bank.label == 2)[:2]]
    scarce = Features(bank.features[kept], bank.label[kept], bank.index[kept])
    (score,) = FewLabels(labels=(5,), draws=1).measure(
        scarce, features(30, seed=1), classes=3, seed=0
    )
    assert score.n_train == 12
    assert score.detail.endswith("1 class(es) with fewer")


@pytest.mark.parametrize("labels", [(), (3, 3)])
def test_numbers_that_say_nothing_are_refused(labels):
    with pytest.raises(UserError, match="wanted different numbers of images per class"):
        FewLabels(labels=labels)


def test_one_class_is_refused():
    one = features(10, classes=1)
    with pytest.raises(UserError, match="two classes or more"):
        FewLabels().measure(one, one, classes=1, seed=0)
