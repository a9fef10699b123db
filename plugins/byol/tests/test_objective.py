"""BYOL against a loop over the paper's equations."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from sslkit_byol.objective import BYOL

from sslkit.testing import ShortRun, TinyBackbone

OPTIONS = {"hidden": 16, "dim": 4}


def unit(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.mark.parametrize("views", [2, 3])
def test_equals_a_loop(views):
    short_run = ShortRun(lambda: BYOL(TinyBackbone, views=views, **OPTIONS))
    objective, batch = short_run.state.objective, short_run.batch(0)
    outcome = objective(batch, step=tf.constant(0, tf.int64))

    q, z = [], []
    for view in batch.views["instance"]:
        projected = objective.projection(
            objective.encoder(view, training=True), training=True
        )
        q.append(unit(objective.predictor(projected, training=True).numpy()))
        z.append(unit(objective.momentum(view, training=True).numpy()))
    count = len(batch.label)
    total, cosines = 0.0, []
    for image in range(count):
        for one in range(views):
            others = [other for other in range(views) if other != one]
            found = [q[one][image] @ z[other][image] for other in others]
            cosines += found
            total += np.mean([2 - 2 * cosine for cosine in found])
    np.testing.assert_allclose(outcome.loss, total / count, rtol=1e-12)
    np.testing.assert_allclose(
        outcome.metrics["positive_cosine"], np.mean(cosines), rtol=1e-12
    )


def test_the_twin_starts_as_a_copy_and_follows_ever_more_slowly():
    short_run = ShortRun(lambda: BYOL(TinyBackbone, decay=0.9, **OPTIONS))
    before = short_run.values()
    name = "encoder/layer/conv/kernel"
    twin = f"momentum/{name}"
    np.testing.assert_array_equal(before[twin], before[name])
    moved = before[twin]
    for step in range(2):
        after = short_run.run(step, step + 1).table
        # Grill et al., section 3.3; a short_run has 100 updates.
        kept = 1 - (1 - 0.9) * (np.cos(np.pi * step / 100) + 1) / 2
        moved = kept * moved + (1 - kept) * after[name]
        # The schedule is float32.
        np.testing.assert_allclose(after[twin], moved, rtol=0, atol=1e-8)
