"""The head whose arguments give the heads of all methods."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from sslkit.errors import UserError
from sslkit.nn import MLPHead


@pytest.fixture
def features():
    return tf.constant(np.random.default_rng(0).normal(size=(16, 24)), tf.float32)


def normalised(x):
    return (x - x.mean(0)) / np.sqrt(x.var(0) + 1e-5)


def test_of_simsiam_by_hand(features):
    """Three layers; hidden ones are normalised and cut at 0; the last is normalised
    without weights."""
    keras.utils.set_random_seed(2)
    head = MLPHead(layers=3, dim=6, hidden=10, last_norm="plain", name="head")
    found = head(features, training=True)
    x = features.numpy().astype(np.float64)
    for layer in head.layers[:2]:
        x = np.maximum(normalised(x @ layer.dense.kernel.numpy()), 0)
    x = normalised(x @ head.layers[2].dense.kernel.numpy())
    np.testing.assert_allclose(found, x, rtol=1e-3, atol=1e-4)
    assert [v.path for v in head.trainable_variables] == [
        "head/layer_0/dense/kernel",
        "head/layer_0/norm/gamma",
        "head/layer_0/norm/beta",
        "head/layer_1/dense/kernel",
        "head/layer_1/norm/gamma",
        "head/layer_1/norm/beta",
        "head/layer_2/dense/kernel",
    ]


def test_of_dino_by_hand(features):
    head = MLPHead(
        layers=2,
        dim=6,
        hidden=10,
        norm=False,
        bias=True,
        last_bias=True,
        activation="gelu",
        unit=True,
        start="wide",
        name="head",
    )
    head.build((16, 24))
    first, last = (layer.dense for layer in head.layers)
    for bias in (first.bias, last.bias):
        bias.assign(np.linspace(-0.2, 0.3, bias.shape[0]))
    x = tf.nn.gelu(features @ first.kernel + first.bias) @ last.kernel + last.bias
    want = x / np.linalg.norm(x, axis=1, keepdims=True)
    np.testing.assert_allclose(head(features, training=True), want, rtol=1e-5)
    assert len(head.variables) == 4


@pytest.mark.parametrize(
    ("last_norm", "names"),
    [
        ("none", []),
        ("plain", []),
        ("scale", ["gamma"]),
        ("full", ["gamma", "beta"]),
    ],
)
def test_last_normalisation(features, last_norm, names):
    head = MLPHead(layers=1, dim=6, last_norm=last_norm, name="head")
    found = head(features, training=True)
    weights = [v.name for v in head.trainable_variables]
    assert weights == ["kernel", *names]
    by_batch = np.allclose(np.std(found, 0), 1, atol=1e-2)
    assert by_batch == (last_norm != "none")


@pytest.mark.parametrize(
    ("start", "deviation", "most"),
    [
        ("normal", 0.01, 0.06),
        ("fan_in", 1 / np.sqrt(3 * 400), 1 / np.sqrt(400)),
        ("wide", 0.02, 0.12),
    ],
)
def test_kernels_start_as_named(start, deviation, most):
    keras.utils.set_random_seed(1)
    head = MLPHead(layers=1, dim=200, start=start, name="head")
    head.build((None, 400))
    kernel = head.layers[0].dense.kernel.numpy()
    # The deviation of 80000 draws is known to about 0.3% of itself.
    assert np.std(kernel) == pytest.approx(deviation, rel=0.02)
    assert np.abs(kernel).max() <= most


def test_no_layers_pass_the_features_on(features):
    head = MLPHead(layers=0, name="head")
    np.testing.assert_array_equal(head(features, training=False), features)


def test_half_precision_gives_float32(features):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        head = MLPHead(last_norm="full", unit=True, name="head")
        found = head(features, training=True)
    finally:
        keras.config.set_dtype_policy(before)
    assert found.dtype == tf.float32
    assert head.layers[0].dense.compute_dtype == "bfloat16"
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), np.ones(16), rtol=1e-6)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"layers": -1}, "layers is -1"),
        ({"hidden": 0}, "hidden is 0"),
        ({"activation": "tanh"}, "activation is 'tanh'"),
        ({"last_norm": "batch"}, "last_norm is 'batch'"),
    ],
)
def test_refuses(options, said):
    with pytest.raises(UserError, match=said):
        MLPHead(**options, name="head")
