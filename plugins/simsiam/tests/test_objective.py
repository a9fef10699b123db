"""SimSiam against a loop over the paper's equations."""

from __future__ import annotations

import numpy as np
import tensorflow as tf
from sslkit_simsiam.objective import SimSiam

from sslkit.testing import ShortRun, TinyBackbone


def cosine(one, other):
    return one @ other / np.linalg.norm(one) / np.linalg.norm(other)


def test_equals_a_loop():
    short_run = ShortRun(lambda: SimSiam(TinyBackbone, hidden=16, dim=6))
    objective, batch = short_run.state.objective, short_run.batch(0)
    outcome = objective(batch, step=tf.constant(0, tf.int64))

    z, p = [], []
    for view in batch.views["instance"]:
        features = objective.encoder(view, training=True)
        z.append(objective.projection(features, training=True).numpy())
        p.append(objective.predictor(z[-1], training=True).numpy())
    images = len(batch.label)
    total = sum(
        -cosine(p[0][i], z[1][i]) / 2 - cosine(p[1][i], z[0][i]) / 2
        for i in range(images)
    )
    np.testing.assert_allclose(outcome.loss, total / images, rtol=1e-12)
    unit = [rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in z]
    spread = np.mean([rows.std(0) for rows in unit]) * np.sqrt(6)
    np.testing.assert_allclose(outcome.metrics["spread"], spread, rtol=1e-12)


def test_no_gradient_flows_through_the_target():
    short_run = ShortRun(lambda: SimSiam(TinyBackbone, hidden=16, dim=6))
    objective, batch = short_run.state.objective, short_run.batch(0)
    with tf.GradientTape() as tape:
        loss = objective(batch, step=tf.constant(0, tf.int64)).loss
    kernel = objective.projection.layers[-1].dense.kernel.value
    found = tape.gradient(loss, kernel).numpy()

    targets = [
        objective.projection(objective.encoder(v, training=True), training=True)
        for v in batch.views["instance"]
    ]
    with tf.GradientTape() as tape:
        losses = []
        for view, target in zip(
            batch.views["instance"], reversed(targets), strict=True
        ):
            z = objective.projection(
                objective.encoder(view, training=True), training=True
            )
            p = objective.predictor(z, training=True)
            # Keras returns the negative cosine.
            losses.append(
                tf.reduce_mean(tf.keras.losses.cosine_similarity(target, p)) / 2
            )
        loss = tf.add_n(losses)
    np.testing.assert_allclose(found, tape.gradient(loss, kernel), rtol=1e-6, atol=1e-9)
