"""Barlow Twins against a loop over the paper's equations."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from sslkit_barlow.objective import BarlowTwins

from sslkit.api import UserError
from sslkit.testing import ShortRun, TinyBackbone


def test_equals_a_loop():
    options = {"dim": 6, "redundancy": 0.02, "scale": 0.5}
    short_run = ShortRun(lambda: BarlowTwins(TinyBackbone, **options))
    objective, batch = short_run.state.objective, short_run.batch(0)
    outcome = objective(batch, step=tf.constant(0, tf.int64))

    z = []
    for view in batch.views["instance"]:
        features = objective.encoder(view, training=True)
        rows = objective.projection(features, training=True).numpy()
        # The layer's epsilon, 1e-5, is the published one.
        z.append((rows - rows.mean(0)) / np.sqrt(rows.var(0) + 1e-5))
    on = off = 0.0
    for i in range(6):
        for j in range(6):
            c = np.mean(z[0][:, i] * z[1][:, j])
            if i == j:
                on += (1 - c) ** 2
            else:
                off += c**2
    np.testing.assert_allclose(outcome.loss, 0.5 * (on + 0.02 * off), rtol=1e-10)
    np.testing.assert_allclose(outcome.metrics["on_diagonal"], on, rtol=1e-10)
    np.testing.assert_allclose(outcome.metrics["off_diagonal"], off, rtol=1e-10)


def test_one_image_is_refused():
    with pytest.raises(UserError, match="global batch is 1 image, and correlations"):
        BarlowTwins(TinyBackbone, dim=6).check_batch(1)
