"""VICReg against a loop over the paper's equations."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from sslkit_vicreg.objective import VICReg

from sslkit.api import UserError
from sslkit.testing import ShortRun, TinyBackbone


def terms(z):
    images, dim = z.shape
    variance = covariance = 0.0
    for i in range(dim):
        for j in range(dim):
            deviations = (z[:, i] - z[:, i].mean()) * (z[:, j] - z[:, j].mean())
            c = deviations.sum() / (images - 1)
            if i == j:
                variance += max(0, 1 - np.sqrt(c + 1e-4)) / dim
            else:
                covariance += c**2 / dim
    return variance, covariance


def test_equals_a_loop():
    options = {"dim": 6, "invariance": 20.0, "variance": 15.0, "covariance": 2.0}
    short_run = ShortRun(lambda: VICReg(TinyBackbone, **options))
    objective, batch = short_run.state.objective, short_run.batch(0)
    outcome = objective(batch, step=tf.constant(0, tf.int64))

    one, other = (
        objective.projection(
            objective.encoder(view, training=True), training=True
        ).numpy()
        for view in batch.views["instance"]
    )
    (v1, c1), (v2, c2) = terms(one), terms(other)
    wanted = {
        "invariance": np.mean((one - other) ** 2),
        "variance": (v1 + v2) / 2,
        "covariance": c1 + c2,
    }
    for name, value in wanted.items():
        np.testing.assert_allclose(outcome.metrics[name], value, rtol=1e-10)
    loss = sum(options[name] * value for name, value in wanted.items())
    np.testing.assert_allclose(outcome.loss, loss, rtol=1e-10)


def test_one_image_is_refused():
    with pytest.raises(UserError, match="global batch is 1 image, and variances"):
        VICReg(TinyBackbone, dim=6).check_batch(1)
