"""DINO against a loop over the paper's equations."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from sslkit_dino.objective import DINO

from sslkit.testing import ShortRun, TinyBackbone

OPTIONS = {"hidden": 8, "dim": 5, "prototypes": 6, "warmup_steps": 2}


def softmax(scores):
    found = np.exp(scores - scores.max())
    return found / found.sum()


def entropy(p):
    return -sum(share * np.log(share) for share in p)


@pytest.mark.parametrize("local", [0, 2])
def test_equals_a_loop_over_steps(local):
    short_run = ShortRun(lambda: DINO(TinyBackbone, local=local, **OPTIONS))
    objective = short_run.state.objective
    # Different from the student, so that it matters which scores are used.
    draw = np.random.default_rng(0)
    for variable in objective.momentum.variables:
        variable.assign(variable.numpy() + draw.uniform(0, 0.3, variable.shape))
    centre = np.zeros(6)
    for step, temperature in enumerate([0.04, 0.055, 0.07, 0.07]):
        batch = short_run.batch(step)
        views = [view for group in objective.requires for view in batch.views[group]]
        images = views[0].shape[0]
        features = objective.encoder(tf.concat(views, 0), training=True)
        rows = objective.projection(features, training=True).numpy()
        kernel = objective.prototypes.kernel.numpy()
        s = (rows @ (kernel / np.linalg.norm(kernel, axis=0))).reshape([-1, images, 6])
        t = objective.momentum(tf.concat(views[:2], 0), training=True).numpy()
        t = t.reshape([2, images, 6])

        total, pairs, told = 0.0, 0, []
        for image in range(images):
            for u in (0, 1):
                target = softmax((t[u][image] - centre) / temperature)
                told.append(target)
                for v in range(len(views)):
                    if v != u:
                        total -= target @ np.log(softmax(s[v][image] / 0.1))
                        pairs += 1
        outcome = objective(batch, step=tf.constant(step, tf.int64))
        np.testing.assert_allclose(outcome.loss, total / pairs, rtol=1e-10)
        np.testing.assert_allclose(
            outcome.metrics["teacher_entropy"],
            np.mean([entropy(p) for p in told]),
            rtol=1e-10,
        )
        np.testing.assert_allclose(
            outcome.metrics["spread"], entropy(np.mean(told, axis=0)), rtol=1e-10
        )
        centre = 0.9 * centre + 0.1 * t.reshape([-1, 6]).mean(axis=0)
        np.testing.assert_allclose(
            objective.teaching.centre, centre, rtol=1e-10, atol=1e-15
        )


def test_the_last_layer_is_frozen_at_first_and_the_teacher_follows():
    short_run = ShortRun(lambda: DINO(TinyBackbone, freeze_steps=1, **OPTIONS))
    start = short_run.values()
    name = "prototypes/kernel"
    twin = f"momentum/{name}"
    np.testing.assert_array_equal(start[twin], start[name])
    held = short_run.run(0, 1).table
    np.testing.assert_array_equal(held[name], start[name])
    after = short_run.run(1, 2).table
    assert np.abs(after[name] - start[name]).max() > 1e-6
    # Caron et al., section 3.1; a short_run has 100 updates.
    kept = 1 - (1 - 0.996) * (np.cos(np.pi / 100) + 1) / 2
    moved = kept * start[name] + (1 - kept) * after[name]
    np.testing.assert_allclose(after[twin], moved, rtol=0, atol=1e-8)
