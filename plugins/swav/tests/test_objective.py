"""SwAV against a loop over the paper's equations."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from sslkit_swav.codes import sinkhorn
from sslkit_swav.objective import SwAV

from sslkit.testing import ShortRun, TinyBackbone

OPTIONS = {"hidden": 8, "dim": 5, "prototypes": 6}


def unit(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def shared_out(scores):
    """Algorithm 1 of Caron et al. 2020, appendix: prototypes by images."""
    q = np.exp(scores / 0.05).T
    q = q / q.sum()
    k, b = q.shape
    for _ in range(3):
        for row in range(k):
            q[row] *= (1 / k) / q[row].sum()
        for column in range(b):
            q[:, column] *= (1 / b) / q[:, column].sum()
    return (q / q.sum(axis=0, keepdims=True)).T


def log_softmax(scores):
    return scores - np.log(np.exp(scores).sum())


def seen(objective, batch):
    """Returns what each view is embedded as, [V, b, D]."""
    views = [view for group in objective.requires for view in batch.views[group]]
    features = objective.encoder(tf.concat(views, 0), training=True)
    projected = objective.projection(features, training=True).numpy()
    return unit(projected).reshape([len(views), -1, 5])


def expected(z, kernel, queues):
    total, images = 0.0, z.shape[1]
    for crop in (0, 1):
        codes = shared_out(np.concatenate([z[crop], *queues[crop]]) @ kernel)
        others = [view for view in range(len(z)) if view != crop]
        for image in range(images):
            for view in others:
                p = log_softmax(z[view][image] @ kernel / 0.1)
                total -= codes[image] @ p / len(others)
    return total / images / 2


@pytest.mark.parametrize("local", [0, 2])
def test_equals_a_loop(local):
    short_run = ShortRun(lambda: SwAV(TinyBackbone, local=local, **OPTIONS))
    objective, batch = short_run.state.objective, short_run.batch(0)
    kernel = objective.prototypes.kernel.numpy()
    np.testing.assert_allclose(np.linalg.norm(kernel, axis=0), 1, rtol=1e-12)
    z = seen(objective, batch)
    outcome = objective(batch, step=tf.constant(0, tf.int64))
    wanted = expected(z, kernel, [[], []])
    np.testing.assert_allclose(outcome.loss, wanted, rtol=1e-10)
    nearest = (z[:2] @ kernel).argmax(axis=2)
    np.testing.assert_allclose(
        outcome.metrics["agreement"], np.mean(nearest[0] == nearest[1])
    )


def test_a_full_queue_is_used_to_compute_codes():
    short_run = ShortRun(lambda: SwAV(TinyBackbone, queue=2, **OPTIONS))
    objective = short_run.state.objective
    kernel = objective.prototypes.kernel.numpy()
    earlier = [[], []]
    for step in range(4):
        batch = short_run.batch(step)
        z = seen(objective, batch)
        outcome = objective(batch, step=tf.constant(step, tf.int64))
        used = earlier if step >= 2 else [[], []]
        wanted = expected(z, kernel, used)
        np.testing.assert_allclose(outcome.loss, wanted, rtol=1e-10)
        earlier = [[z[crop], *earlier[crop]][:2] for crop in (0, 1)]


def test_prototypes_are_frozen_at_first_and_have_length_1():
    short_run = ShortRun(lambda: SwAV(TinyBackbone, freeze_steps=2, **OPTIONS))
    start = short_run.values()["prototypes/kernel"]
    held = short_run.run(0, 2).table["prototypes/kernel"]
    np.testing.assert_allclose(held, start, rtol=1e-14)
    moved = short_run.run(2, 3).table["prototypes/kernel"]
    assert np.abs(moved - start).max() > 1e-6
    np.testing.assert_allclose(np.linalg.norm(moved, axis=0), 1, rtol=1e-12)


def test_sinkhorn_uses_prototypes_equally_without_large_exponentials():
    scores = np.random.default_rng(0).uniform(-1, 1, [40, 8])
    even = sinkhorn(tf.constant(scores), epsilon=0.05, iterations=200).numpy()
    np.testing.assert_allclose(even.sum(axis=1), 1, rtol=1e-12)
    np.testing.assert_allclose(even.sum(axis=0), 40 / 8, rtol=1e-3)
    sharp = sinkhorn(tf.constant(scores, tf.float32), epsilon=0.002, iterations=3)
    assert np.all(np.isfinite(sharp))
