"""MoCo v2 and v3 against loops over the papers' equations."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from sslkit_moco.v2 import MoCoV2
from sslkit_moco.v3 import MoCoV3

from sslkit.testing import ShortRun, TinyBackbone


def unit(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_v2_equals_a_loop_over_steps():
    """The queue holds the keys of earlier batches: random ones, then real ones."""
    short_run = ShortRun(lambda: MoCoV2(TinyBackbone, bank=2, dim=5))
    objective = short_run.state.objective
    start = objective.bank.rows.numpy()
    np.testing.assert_allclose(np.linalg.norm(start, axis=1), 1, rtol=1e-12)
    assert len(set(map(tuple, start))) == len(start) == 24
    queue = list(start[:16])
    for step in range(3):
        batch = short_run.batch(step)
        outcome = objective(batch, step=tf.constant(step, tf.int64))
        first, second = batch.views["instance"]
        features = objective.encoder(first, training=True)
        q = unit(objective.projection(features, training=True).numpy())
        k = unit(objective.momentum(second, training=True).numpy())
        losses, nearest = [], []
        for query, key in zip(q, k, strict=True):
            positive = np.exp(query @ key / 0.2)
            negatives = [np.exp(query @ row / 0.2) for row in queue]
            losses.append(-np.log(positive / (positive + sum(negatives))))
            nearest.append(max(negatives) < positive)
        np.testing.assert_allclose(outcome.loss, np.mean(losses), rtol=1e-10)
        np.testing.assert_allclose(outcome.metrics["top1"], np.mean(nearest))
        queue = [*k, *queue][:16]
    np.testing.assert_allclose(objective.bank.rows[:16], queue, rtol=1e-10)


@pytest.mark.parametrize("norm_prediction", [False, True])
def test_v3_equals_a_loop(norm_prediction):
    options = {"hidden": 16, "dim": 5, "temperature": 0.3}
    short_run = ShortRun(
        lambda: MoCoV3(TinyBackbone, norm_prediction=norm_prediction, **options)
    )
    objective, batch = short_run.state.objective, short_run.batch(0)
    outcome = objective(batch, step=tf.constant(0, tf.int64))

    q, k = [], []
    for view in batch.views["instance"]:
        z = objective.projection(objective.encoder(view, training=True), training=True)
        q.append(unit(objective.predictor(z, training=True).numpy()))
        k.append(unit(objective.momentum(view, training=True).numpy()))
    total, images = 0.0, len(batch.label)
    for one, other in ((0, 1), (1, 0)):
        for i in range(images):
            scores = [np.exp(q[one][i] @ k[other][n] / 0.3) for n in range(images)]
            total -= 2 * 0.3 * np.log(scores[i] / sum(scores)) / images
    np.testing.assert_allclose(outcome.loss, total, rtol=1e-10)
