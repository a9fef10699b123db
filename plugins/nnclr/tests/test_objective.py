"""NNCLR against a loop over the paper's equations."""

from __future__ import annotations

import numpy as np
import tensorflow as tf
from sslkit_nnclr.objective import NNCLR

from sslkit.testing import ShortRun, TinyBackbone


def unit(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_equals_a_loop_over_steps():
    options = {"bank": 2, "hidden": 8, "dim": 5, "predictor_hidden": 16}
    short_run = ShortRun(lambda: NNCLR(TinyBackbone, **options))
    objective = short_run.state.objective
    queue = list(objective.bank.rows.numpy()[:16])
    for step in range(3):
        batch = short_run.batch(step)
        outcome = objective(batch, step=tf.constant(step, tf.int64))
        z, p = [], []
        for view in batch.views["instance"]:
            found = objective.projection(
                objective.encoder(view, training=True), training=True
            )
            z.append(unit(found.numpy()))
            p.append(unit(objective.predictor(found, training=True).numpy()))
        losses, cosines = [], []
        for one, other in ((0, 1), (1, 0)):
            for i, embedding in enumerate(z[one]):
                nearest = max(queue, key=lambda row, mine=embedding: row @ mine)
                scores = [np.exp(nearest @ row / 0.1) for row in p[other]]
                losses.append(-np.log(scores[i] / sum(scores)))
                cosines.append(nearest @ embedding)
        np.testing.assert_allclose(outcome.loss, np.mean(losses), rtol=1e-10)
        np.testing.assert_allclose(
            outcome.metrics["neighbour_cosine"], np.mean(cosines), rtol=1e-10
        )
        queue = [*z[0], *queue][:16]
