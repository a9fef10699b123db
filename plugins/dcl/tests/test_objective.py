"""The decoupled contrastive loss against a loop over the paper's equations."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from sslkit_dcl.objective import DCL

from sslkit.objectives import join_views
from sslkit.testing import ShortRun, TinyBackbone


@pytest.mark.parametrize("sigma", [None, 0.5])
def test_equals_a_loop(sigma):
    short_run = ShortRun(lambda: DCL(TinyBackbone, dim=5, temperature=0.2, sigma=sigma))
    objective, batch = short_run.state.objective, short_run.batch(0)
    outcome = objective(batch, step=tf.constant(0, tf.int64))

    features = objective.encoder(join_views(batch.views, ["instance"]), training=True)
    z = objective.projection(features, training=True).numpy()
    z /= np.linalg.norm(z, axis=1, keepdims=True)
    images = len(z) // 2
    grown = [np.exp(z[i] @ z[i + images] / (sigma or 1)) for i in range(images)]
    total = 0.0
    for row in range(2 * images):
        image, other = row % images, (row + images) % (2 * images)
        weight = 2 - grown[image] / np.mean(grown) if sigma else 1.0
        negatives = [
            np.exp(z[row] @ z[n] / 0.2)
            for n in range(2 * images)
            if n % images != image
        ]
        total += -weight * (z[row] @ z[other]) / 0.2 + np.log(sum(negatives))
    np.testing.assert_allclose(outcome.loss, total / images, rtol=1e-10)
