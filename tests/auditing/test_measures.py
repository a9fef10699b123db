"""Counts of an audit, against loops over pairs."""

from __future__ import annotations

import numpy as np
import pytest

from sslkit.auditing.measures import Counts, Round, Stability

IMAGES, VIEWS = 7, 3


def make(seed, labels=(0, 1, 0, 2, 1, 0, -1)):
    rng = np.random.default_rng(seed)
    scores = np.round(rng.uniform(-1, 1, [IMAGES, IMAGES * VIEWS]), 3)
    scores = scores.astype(np.float32)
    own = np.arange(IMAGES * VIEWS)[None] % IMAGES == np.arange(IMAGES)[:, None]
    scores[own] = np.finfo(np.float32).min
    best = np.argsort(-scores, axis=1)[:, :4]
    chosen = np.zeros_like(own)
    np.put_along_axis(chosen, best, True, axis=1)
    return Round(scores, chosen & (scores > 0.2), np.array(labels, np.int32))


ROUNDS = [make(0), make(1)]


@pytest.fixture(scope="module")
def counts():
    found = Counts()
    for one in ROUNDS:
        found.add(one)
    return found


def pairs(taken):
    """Yields anchor label, candidate label, whether taken, for all judged pairs."""
    for one in ROUNDS:
        for i in range(IMAGES):
            for column in range(IMAGES * VIEWS):
                j = column % IMAGES
                if i != j and one.labels[i] >= 0 and one.labels[j] >= 0:
                    yield one.labels[i], one.labels[j], taken(one, i, column)


def ratio(part, whole):
    return pytest.approx(part / whole)


def judge(taken):
    """Returns precision and recall of a choice, by a loop."""
    every = list(pairs(taken))
    right = sum(a == b for a, b, t in every if t)
    return right / sum(t for *_, t in every), right / sum(a == b for a, b, _ in every)


def test_precision_and_recall_of_the_choice(counts):
    own = counts.own()
    precision, recall = judge(lambda one, i, column: one.chosen[i, column])
    assert own["precision"] == pytest.approx(precision)
    assert own["recall"] == pytest.approx(recall)
    every = sum(one.chosen.sum() for one in ROUNDS)
    assert own["found_per_image"] == ratio(every, 2 * IMAGES)
    # Pairs in which an image has no label are not counted.
    assert own["judged_per_image"] < own["found_per_image"]


def test_chance_is_the_share_of_pairs_that_are_alike(counts):
    every = list(pairs(lambda *_: True))
    assert counts.chance == ratio(sum(a == b for a, b, _ in every), len(every))


def test_by_topk(counts):
    rows = {row["topk"]: row for row in counts.by_topk()}
    assert list(rows) == [1, 2, 3, 5, 7, 10, 15]  # of 18 views of others
    for k, row in rows.items():

        def among(one, i, column, k=k):
            return column in np.argsort(-one.scores[i], kind="stable")[:k]

        precision, recall = judge(among)
        assert row["precision"] == pytest.approx(precision)
        assert row["recall"] == pytest.approx(recall)


@pytest.mark.parametrize("threshold", [-1.0, -0.5, 0.0, 0.32, 0.9])
def test_by_threshold(counts, threshold):
    (row,) = (r for r in counts.by_threshold() if r["threshold"] == threshold)
    precision, recall = judge(lambda one, i, c: one.scores[i, c] > threshold)
    assert row["precision"] == pytest.approx(precision)
    assert row["recall"] == pytest.approx(recall)
    above = sum((one.judged & (one.scores > threshold)).sum() for one in ROUNDS)
    assert row["judged_per_image"] == above / (len(ROUNDS) * IMAGES)


def test_a_perfect_choice_takes_as_many_views_per_image(counts):
    hits = judged = present = 0
    for one in ROUNDS:
        for i in range(IMAGES):
            known = [c for c in range(IMAGES * VIEWS) if one.judged[i, c]]
            taken = sum(one.chosen[i, c] for c in known)
            alike = sum(one.labels[c % IMAGES] == one.labels[i] for c in known)
            hits += min(taken, alike)
            judged += taken
            present += alike
    assert counts.oracle() == {
        "precision": ratio(hits, judged),
        "recall": ratio(hits, present),
    }


def test_by_class_and_confused_classes(counts):
    rows = {row["label"]: row for row in counts.by_class()}
    assert {label: row["images"] for label, row in rows.items()} == {0: 6, 1: 4, 2: 2}
    every = list(pairs(lambda one, i, column: one.chosen[i, column]))
    for label, row in rows.items():
        taken = [b == label for a, b, t in every if t and a == label]
        assert row["precision"] == ratio(sum(taken), len(taken))
    # Nothing else is of class 2 in a round but the other views of... no other image.
    assert rows[2]["recall"] is None and rows[2]["present_per_image"] == 0
    wrong = {}
    for a, b, t in every:
        if t and a != b:
            wrong[a, b] = wrong.get((a, b), 0) + 1
    found = {(r["label"], r["taken_for_it"]): r["views"] for r in counts.confused()}
    assert found == wrong


def test_without_labels_nothing_is_judged():
    found = Counts()
    found.add(make(0, labels=[-1] * IMAGES))
    own = found.own()
    assert own["precision"] is None and own["recall"] is None
    assert own["found_per_image"] > 0
    assert found.chance is None
    assert found.by_topk() == found.by_threshold() == found.by_class() == []
    assert found.confused() == []


def test_without_taken_views_there_is_no_precision():
    one = make(0)
    found = Counts()
    found.add(Round(one.scores, np.zeros_like(one.chosen), one.labels))
    assert found.own()["precision"] is None
    assert found.own()["recall"] == 0


def test_stability():
    first = np.array([[0, 1, 1], [0, 0, 0], [1, 0, 0]], bool)
    second = np.array([[0, 1, 0], [1, 0, 0], [1, 0, 0]], bool)
    found = Stability()
    found.add(first, second)
    assert found.found() == {
        "chosen_again": 2 / 3,
        # Two taken, one again: 2 x 1/2; and one taken, one again: 1 x 1/2.
        "chosen_again_by_chance": 1.5 / 3,
        "jaccard": 2 / 4,
    }
    assert Stability().found()["jaccard"] is None
