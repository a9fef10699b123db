"""Projection heads and the linear classifier."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from sslkit.errors import UserError
from sslkit.nn import LinearClassifier, ProjectionHead


@pytest.fixture
def features():
    return tf.constant(np.random.default_rng(0).normal(size=(16, 24)), tf.float32)


@pytest.mark.parametrize(
    ("options", "widths"),
    [
        ({}, [24, 24, 24, 128]),
        ({"layers": 2, "dim": 8}, [24, 24, 8]),
        ({"layers": 1, "dim": 8}, [24, 8]),
        ({"mode": "linear", "dim": 8}, [24, 8]),
        ({"mode": "none"}, [24]),
    ],
)
def test_widths(features, options, widths):
    head = ProjectionHead(**options)
    outputs = head.outputs(features, training=True)
    assert [output.shape[1] for output in outputs] == widths
    assert outputs[-1].dtype == tf.float32
    np.testing.assert_array_equal(head(features, training=True), outputs[-1])


def test_only_the_last_layer_lacks_offset_and_relu(features):
    head = ProjectionHead(layers=2, dim=8)
    _, middle, last = head.outputs(features, training=True)
    assert [v.path for v in head.trainable_variables] == [
        "projection/layer_0/dense/kernel",
        "projection/layer_0/norm/gamma",
        "projection/layer_0/norm/beta",
        "projection/layer_1/dense/kernel",
        "projection/layer_1/norm/gamma",
    ]
    assert np.min(middle) == 0
    # Without an offset every column of a batch has mean 0: 16 float32 terms.
    np.testing.assert_allclose(tf.reduce_mean(last, 0), np.zeros(8), atol=1e-6)


def test_no_head_passes_features_through(features):
    head = ProjectionHead(mode="none")
    np.testing.assert_array_equal(head(features, training=True), features)
    assert head.variables == []


def test_frozen_before_it_is_built(features):
    head = ProjectionHead()
    head.trainable = False
    head(features, training=True)
    assert not any(variable.trainable for variable in head.variables)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"mode": "mlp"}, "mode is 'mlp'; it must be 'nonlinear'"),
        ({"layers": 0}, "layers is 0"),
        ({"dim": 0}, "dim is 0"),
    ],
)
def test_refuses(options, said):
    with pytest.raises(UserError, match=said):
        ProjectionHead(**options)


def test_classifier(features):
    head = LinearClassifier(classes=5)
    logits = head(features)
    want = features @ head.kernel.numpy() + head.bias.numpy()
    np.testing.assert_allclose(logits, want, rtol=1e-5, atol=1e-6)
    assert [v.path for v in head.variables] == ["classifier/kernel", "classifier/bias"]
    assert not np.any(LinearClassifier(classes=5, zero_init=True)(features))


def test_kernels_start_small():
    keras.utils.set_random_seed(1)
    head = LinearClassifier(classes=200)
    head.build((None, 200))
    # The deviation of 40000 draws is known to 1 / sqrt(2 * 40000) of itself: 0.4%.
    assert np.std(head.kernel) == pytest.approx(0.01, rel=0.02)


def test_half_precision_gives_float32(features):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        projection, classifier = ProjectionHead(), LinearClassifier(classes=5)
        projected = projection(features, training=True)
    finally:
        keras.config.set_dtype_policy(before)
    assert projected.dtype == classifier(features).dtype == tf.float32
    assert projection.layers[0].dense.compute_dtype == "bfloat16"
    # Logits keep their digits: 10.3 would be 10.3125 in bfloat16.
    assert classifier.compute_dtype == "float32"
