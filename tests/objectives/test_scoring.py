"""Scores of candidates, and the selections made of them."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from objectives import loop

from sslkit.objectives import Listed, Scores

VIEWS, BATCH, DIM, COLUMNS = 2, 3, 8, 20
BLOCKS = pytest.mark.parametrize("block", [None, 1, 7, 32])


def inputs(seed=0):
    rng = np.random.default_rng(seed)
    return loop.unit(rng, VIEWS, BATCH, DIM), loop.unit(rng, COLUMNS, DIM)


def scores_of(references, candidates, **options):
    return Scores(
        tf.constant(references, tf.float32),
        tf.constant(candidates, tf.float32),
        views=VIEWS,
        **options,
    )


def by_loop(references, candidates, aggregate):
    found = np.full([BATCH, len(candidates)], -np.inf)
    for i in range(BATCH):
        for k in range(len(candidates)):
            if k >= VIEWS * BATCH or k % BATCH != i:
                similar = [references[v, i] @ candidates[k] for v in range(VIEWS)]
                found[i, k] = {"max": max, "mean": np.mean}[aggregate](similar)
    return found


@BLOCKS
@pytest.mark.parametrize("aggregate", ["max", "mean"])
@pytest.mark.parametrize("count", [1, 4, COLUMNS])
def test_best_are_those_of_a_sort(aggregate, count, block):
    references, candidates = inputs()
    scores = scores_of(references, candidates, aggregate=aggregate, block=block)
    wanted = by_loop(references, candidates, aggregate)
    order = np.argsort(-wanted, axis=1, kind="stable")[:, :count]
    ranked = np.take_along_axis(wanted, order, axis=1)
    found, places = scores.best(count)
    there = np.isfinite(ranked)
    np.testing.assert_array_equal(places, np.where(there, order, -1))
    np.testing.assert_allclose(found.numpy()[there], ranked[there], atol=1e-6)


@BLOCKS
def test_equal_scores_go_by_column(block):
    references = np.ones([VIEWS, BATCH, 1])
    candidates = np.ones([COLUMNS, 1])
    candidates[[9, 13, 17]] = 2.0
    _, places = scores_of(references, candidates, block=block).best(5)
    np.testing.assert_array_equal(places[0], [9, 13, 17, 1, 2])
    np.testing.assert_array_equal(places[2], [9, 13, 17, 0, 1])


@BLOCKS
def test_unwritten_columns_have_no_score(block):
    references, candidates = inputs()
    scores = scores_of(references, candidates, written=tf.constant(8), block=block)
    _, places = scores.best(10)
    assert np.all(np.sum(places.numpy() >= 0, axis=1) == 8 - VIEWS)
    assert places.numpy().max() < 8
    assert int(scores.others_written) == 8 - VIEWS


@BLOCKS
def test_labels(block):
    references, candidates = inputs()
    own = tf.constant([4, 5, -1])
    others = tf.constant([4, 5, -1] * 2 + [4] * 7 + [-1] * 6 + [5])
    scores = scores_of(references, candidates, labels=(own, others), block=block)
    alike, labelled = scores.computed(scores.alike), scores.computed(scores.labelled)
    (count,) = alike.sizes()
    np.testing.assert_array_equal(count, [7, 1, 0])
    # Of 20 columns two are its own, two those of the image without a label, and six
    # have none.
    count, both = labelled.sizes(alike)
    np.testing.assert_array_equal(count, [10, 10, 0])
    np.testing.assert_array_equal(both, [7, 1, 0])


def test_labels_are_required():
    with pytest.raises(ValueError, match="without labels"):
        scores_of(*inputs()).alike(tf.range(3))


@BLOCKS
def test_sums_and_their_gradient(block):
    _, candidates = inputs()
    rows = np.array([[3, -1, 19], [-1, -1, -1], [0, 3, 7]], "int32")
    selection = Listed(rows, columns=COLUMNS, block=block)
    value = tf.constant(candidates, tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(value)
        total = selection.sum(value)
        loss = tf.reduce_sum(total * tf.constant([[1.0], [10.0], [100.0]]))
    wanted = np.stack(
        [candidates[[3, 19]].sum(0), np.zeros(DIM), candidates[[0, 3, 7]].sum(0)]
    )
    np.testing.assert_allclose(total, wanted, atol=1e-6)
    slope = np.zeros(COLUMNS)
    slope[[3, 19, 0, 7]] = 101, 1, 100, 100
    np.testing.assert_allclose(
        tape.gradient(loss, value), np.tile(slope[:, None], DIM), rtol=1e-6
    )
    (sizes,) = selection.sizes()
    np.testing.assert_array_equal(sizes, [2, 0, 3])
