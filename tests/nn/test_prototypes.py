"""Prototypes: both published ways to keep them of length 1."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from sslkit.nn import Prototypes


@pytest.fixture
def embeddings():
    drawn = np.random.default_rng(0).normal(size=(6, 5))
    return tf.constant(drawn / np.linalg.norm(drawn, axis=1, keepdims=True), tf.float32)


def lengths(kernel):
    return np.linalg.norm(np.asarray(kernel), axis=0)


def test_scores_are_cosines_and_the_gradient_keeps_the_length(embeddings):
    layer = Prototypes(count=4, weight_norm=True)
    layer.build((6, 5))
    with tf.GradientTape() as tape:
        scores = layer(embeddings)
        loss = tf.reduce_sum(scores**2)
    kernel = layer.kernel.numpy()
    np.testing.assert_allclose(
        scores, embeddings @ (kernel / lengths(kernel)), rtol=1e-5, atol=1e-6
    )
    gradient = tape.gradient(loss, layer.kernel.value).numpy()
    # Scores do not depend on the length, so the gradient is orthogonal to the vector.
    np.testing.assert_allclose((gradient * kernel).sum(0), np.zeros(4), atol=1e-5)


def test_renormalises_its_weights(embeddings):
    layer = Prototypes(count=4, weight_norm=False)
    layer.build((6, 5))
    before = layer.kernel.numpy()
    np.testing.assert_allclose(layer(embeddings), embeddings @ before, rtol=1e-5)
    layer.renormalise()
    np.testing.assert_allclose(lengths(layer.kernel), np.ones(4), rtol=1e-6)
    np.testing.assert_allclose(layer.kernel, before / lengths(before), rtol=1e-6)


def test_renormalises_on_all_replicas(embeddings):
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    with strategy.scope():
        layer = Prototypes(count=4, weight_norm=False)
        layer.build((6, 5))
        layer.renormalise()  # as in `after_build`
        layer.kernel.assign(2 * layer.kernel)
        strategy.run(tf.function(layer.renormalise))  # as in `after_update`
    for own in strategy.experimental_local_results(layer.kernel.value):
        np.testing.assert_allclose(lengths(own), np.ones(4), rtol=1e-6)


def test_scores_are_float32_under_half_precision(embeddings):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        layer = Prototypes(count=4, weight_norm=True)
        scores = layer(embeddings)
    finally:
        keras.config.set_dtype_policy(before)
    unit = layer.kernel.numpy() / lengths(layer.kernel)
    np.testing.assert_allclose(scores, embeddings @ unit, rtol=1e-5, atol=1e-6)
