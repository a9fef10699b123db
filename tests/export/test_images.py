"""The images that an encoder accepts, from a run and from an export."""

from __future__ import annotations

import re

import keras
import numpy as np
import pytest
import tensorflow as tf

import sslkit
from sslkit.errors import UserError

BYTES = np.random.default_rng(0).integers(0, 256, [3, 8, 8, 3], np.uint8)
IMAGES = BYTES.astype(np.float32) / 255


@pytest.fixture(scope="module", params=["live", "exported"])
def encoder(request, workdir, exported):
    return sslkit.load_encoder(workdir if request.param == "live" else exported)


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.int64])
def test_integers_are_scaled(encoder, dtype):
    np.testing.assert_allclose(
        encoder(BYTES.astype(dtype)), encoder(IMAGES), rtol=1e-6, atol=1e-6
    )
    found = encoder.endpoints(BYTES)["block_group1"]
    want = encoder.endpoints(IMAGES)["block_group1"]
    np.testing.assert_allclose(found, want, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("images", "said"),
    [
        (255 * IMAGES, "images go from 0 to 255; wanted floats in [0, 1]. Give bytes"),
        (4 * IMAGES - 2, "images go from -2 to 2; wanted floats in [0, 1]"),
        (IMAGES * np.nan, "images go from nan to nan; wanted floats"),
        (300 * np.ones([1, 8, 8, 3], np.int32), "go from 300 to 300; wanted 0 to 255"),
        (
            IMAGES[0],
            "have the shape [8, 8, 3], which is that of a single image; wanted",
        ),
        (IMAGES[..., 0], "images have the shape [3, 8, 8]; wanted [n, 8, 8, 3]."),
        (IMAGES > 0.5, "images are bool; wanted floats in [0, 1], or integers from 0"),
    ],
)
def test_an_array_that_is_not_a_batch_of_images_is_a_one_line_error(
    encoder, images, said
):
    for encode in (encoder, encoder.endpoints):
        with pytest.raises(UserError, match=re.escape(said)) as caught:
            encode(images)
        assert "\n" not in str(caught.value)


def test_values_a_little_outside_the_range_are_accepted(encoder):
    assert encoder(1.2 * IMAGES - 0.1).shape == (3, 512)


def test_an_export_accepts_only_one_size(exported):
    with pytest.raises(UserError, match=r"\[3, 4, 4, 3\]; wanted \[n, 8, 8, 3\]"):
        sslkit.load_encoder(exported)(IMAGES[:, :4, :4])


def test_an_encoder_is_a_layer_of_a_functional_model(encoder):
    images = keras.Input([8, 8, 3], dtype="uint8")
    features = encoder(images)
    assert features.shape == (None, 512) and features.dtype == "float32"
    scores = keras.layers.Dense(2, name="scores")(features)
    model = keras.Model(images, scores)
    want = encoder(BYTES) @ model.get_layer("scores").kernel
    np.testing.assert_allclose(model(BYTES), want, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(
        model.predict(BYTES, verbose=0), want, rtol=1e-4, atol=1e-4
    )
    assert len(model.trainable_variables) == len(encoder.trainable_variables) + 2


# An export holds the classifier too, which the features do not need.
@pytest.mark.filterwarnings("ignore:Gradients do not exist")
@pytest.mark.parametrize(
    "place", [pytest.param("workdir", marks=pytest.mark.slow), "exported"]
)
def test_a_model_around_it_is_trained(place, request):
    encoder = sslkit.load_encoder(request.getfixturevalue(place))
    images = keras.Input([8, 8, 3])
    model = keras.Model(images, keras.layers.Dense(2)(encoder(images)))
    model.compile("sgd", "mse")
    before = encoder(IMAGES).numpy()
    model.fit(IMAGES, np.ones([3, 2]), epochs=1, verbose=0)
    assert not np.allclose(encoder(IMAGES), before)


def test_plain_tensorflow_scales_and_refuses_too(exported):
    loaded, other = (tf.saved_model.load(exported) for _ in range(2))
    # Training moves statistics, of each its own.
    for training in (False, True):
        np.testing.assert_allclose(
            loaded(BYTES, training=training)["features"],
            other(IMAGES, training=training)["features"],
            rtol=1e-5,
            atol=1e-5,
        )
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"not in \[0, 1\]"):
        loaded(255 * IMAGES)
    served = loaded.signatures["serving_default"]
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"not in \[0, 1\]"):
        served(images=tf.constant(255 * IMAGES))
