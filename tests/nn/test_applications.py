"""The networks of keras.applications as backbones."""

from __future__ import annotations

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

from sslkit import randomness
from sslkit.api import UserError, ViewGroup
from sslkit.nn import MomentumTwin, applications
from sslkit.nn.applications import _FEATURES, KerasApplication, _Dropout
from sslkit.nn.batch_norm import BatchNorm
from sslkit.objectives.supervised import Supervised
from sslkit.optimize.momentum import Momentum
from sslkit.training.state import TrainState

SIZE = 32


def build(network, **options):
    encoder = KerasApplication(network=network, name="encoder")
    encoder(keras.KerasTensor((None, SIZE, SIZE, 3)), training=False, **options)
    return encoder


@pytest.fixture(scope="module")
def mobile():
    keras.utils.set_random_seed(1)
    return build("MobileNet")


@pytest.fixture(scope="module")
def images():
    return tf.constant(np.random.default_rng(0).random([4, SIZE, SIZE, 3], np.float32))


def test_encodes(mobile, images):
    features = mobile(images, training=False)
    assert features.shape == (4, mobile.feature_dim)
    assert features.dtype == tf.float32
    assert np.std(features, axis=0).max() > 0


def test_normalises_by_the_batch_in_training_even_when_frozen(mobile, images):
    norms = [x for x in mobile.network.layers if isinstance(x, BatchNorm)]
    assert len(norms) == 27
    assert not any(
        isinstance(x, keras.layers.BatchNormalization) for x in mobile.network.layers
    )
    before = norms[0].moving_mean.numpy()
    twin = MomentumTwin([mobile], name="twin")
    twin(images, training=True)
    assert not np.array_equal(norms[0].moving_mean.numpy(), before)
    mobile.trainable = True


@pytest.mark.slow
def test_draws_only_in_a_training_step(images):
    """EfficientNet drops branches, which differ per example and step."""
    encoder = build("EfficientNetB0")
    start = [variable.numpy() for variable in encoder.variables]

    def encode():
        for variable, value in zip(encoder.variables, start, strict=True):
            variable.assign(value)
        return encoder(images, training=True).numpy()

    def step(number):
        seeds = tf.constant([[7, row] for row in range(4)])
        with randomness.drawing(tf.constant([3, number]), seeds):
            return encode()

    still, first = encode(), step(0)
    np.testing.assert_array_equal(still, encode())
    np.testing.assert_array_equal(first, step(0))
    assert np.all(np.any(first != step(1), axis=1))
    assert np.any(first != still)
    # It divides pixels by 255, so it expects them in [0, 255].
    assert encoder.scale == 255


def test_dropout_drops_whole_branches_and_scales_the_rest():
    drop = _Dropout(0.25, (None, 1, 1), name="drop", dtype=keras.DTypePolicy("float32"))
    drop.build((None, 5, 6))
    seeds = tf.stack([tf.range(4000), tf.zeros([4000], tf.int32)], axis=1)
    with randomness.drawing(tf.constant([3, 4]), seeds):
        out = drop(tf.ones([4000, 5, 6]), training=True).numpy()
    np.testing.assert_array_equal(out, np.broadcast_to(out[:, :1, :1], out.shape))
    assert {*np.unique(out)} == {0, np.float32(1 / 0.75)}
    # Standard error of 4000 draws: 0.007.
    assert abs(np.mean(out == 0) - 0.25) < 0.03


@pytest.mark.slow
@pytest.mark.parametrize("network", ["MobileNet", "ConvNeXtTiny"])
def test_a_run_owns_and_names_all_variables_the_same_twice(network):
    tables = []
    for _ in range(2):
        backbone = functools.partial(KerasApplication, network=network)
        state = TrainState(
            functools.partial(Supervised, backbone, classes=3),
            Momentum(),
            strategy=tf.distribute.get_strategy(),
            groups={"instance": ViewGroup(1, SIZE)},
            batch_size=2,
            seed=5,
        )
        tables.append(state.table)
    assert list(tables[0]) == list(tables[1])
    assert any(name.startswith("encoder/") for name in tables[0])
    for name, variable in tables[0].items():
        np.testing.assert_array_equal(variable, tables[1][name], err_msg=name)


@pytest.mark.slow
def test_takes_smaller_images_than_keras_would():
    encoder = KerasApplication(network="ResNet50")
    assert encoder(tf.zeros([2, 8, 8, 3]), training=False).shape == (2, 2048)


@pytest.mark.slow
@pytest.mark.parametrize("network", _FEATURES)
def test_feature_dim_is_known_before_variables(network):
    with tf.Graph().as_default():
        make = getattr(keras.applications, network)
        model = make(
            include_top=False, weights=None, pooling="avg", input_shape=(96, 96, 3)
        )
    assert KerasApplication(network=network).feature_dim == model.output_shape[-1]


def test_every_network_of_keras_is_known():
    there = {name for name in dir(keras.applications) if name[0].isupper()}
    assert there == set(_FEATURES)


def test_refuses():
    with pytest.raises(
        UserError, match=r"network is 'LeNet'; it must be 'ConvNeXtBase'"
    ):
        KerasApplication(network="LeNet")
    with pytest.raises(UserError, match=r"InceptionV3 cannot be built for .* 32 x 32"):
        build("InceptionV3")


def test_refuses_images_of_which_no_pixel_is_left(monkeypatch):
    def refused():
        with pytest.raises(UserError) as caught:
            KerasApplication(network="VGG16")(tf.zeros([1, 8, 8, 3]), training=False)
        line = str(caught.value)
        assert "\n" not in line
        assert line.startswith("VGG16 cannot be built for images of 8 x 8 pixels: ")
        return line

    # It depends on its version whether Keras itself refuses.
    assert "negative" in refused() or "leaves no pixel" in refused()
    monkeypatch.setattr(applications, "_before_pooling", lambda *_: (1, 0, 0, 512))
    assert "its pooling leaves no pixel of so small an image" in refused()
