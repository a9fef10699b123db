"""SupCon against a loop over the paper's equation."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from sslkit_supcon.objective import SupCon

from sslkit.api import Batch
from sslkit.objectives import join_views
from sslkit.testing import ShortRun, TinyBackbone


@pytest.mark.parametrize("views", [2, 3])
def test_equals_a_loop(views):
    options = {"dim": 5, "temperature": 0.2, "base_temperature": 0.1, "views": views}
    short_run = ShortRun(lambda: SupCon(TinyBackbone, **options))
    objective, batch = short_run.state.objective, short_run.batch(0)
    labels = np.array([2, 0, 2, -1, 1, 0, -1, 2])
    batch = Batch(batch.stacks, tf.constant(labels, tf.int32))
    outcome = objective(batch, step=tf.constant(0, tf.int64))

    features = objective.encoder(join_views(batch.views, ["instance"]), training=True)
    z = objective.projection(features, training=True).numpy()
    images, rows = len(labels), len(z)
    losses, counts = [], []
    for i in range(rows):
        others = [a for a in range(rows) if a != i]
        positives = [
            p
            for p in others
            if p % images == i % images or labels[p % images] == labels[i % images] >= 0
        ]
        below = sum(np.exp(z[i] @ z[a] / 0.2) for a in others)
        terms = [-np.log(np.exp(z[i] @ z[p] / 0.2) / below) for p in positives]
        losses.append(0.2 / 0.1 * np.mean(terms))
        counts.append(len(positives))
    np.testing.assert_allclose(outcome.loss, np.mean(losses), rtol=1e-10)
    np.testing.assert_allclose(outcome.metrics["positives"], np.mean(counts))
