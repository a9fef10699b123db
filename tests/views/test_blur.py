"""Blur: the published kernel, zeros outside, coins, XLA."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from sslkit.views import blur

# Sums of up to 23 * 23 float32 products in another order.
FLOAT32 = 2e-6


def test_blur_equals_the_published_one(float_ops):
    for case in float_ops.cases("gaussian_blur"):
        image = tf.image.convert_image_dtype(
            float_ops.images[case["image"]], tf.float32
        )
        out = blur.gaussian_blur(
            image[tf.newaxis],
            sigma=tf.constant([case["sigma"]]),
            taps=case["effective_kernel"],
        )
        np.testing.assert_allclose(out[0], float_ops.arrays[case["name"]], atol=FLOAT32)


@pytest.mark.parametrize(
    ("size", "taps"), [(8, 1), (16, 1), (20, 3), (32, 3), (96, 9), (224, 23)]
)
def test_kernel_grows_with_the_view(size, taps):
    assert blur.taps(size) == taps


def test_blur_of_a_point_is_the_kernel():
    image = np.zeros((1, 9, 9, 1), np.float32)
    image[0, 4, 4] = 1
    out = blur.gaussian_blur(tf.constant(image), sigma=tf.constant([1.5]), taps=5)
    line = np.exp(-np.square([-2, -1, 0, 1, 2]) / (2 * 1.5**2))
    line /= line.sum()
    np.testing.assert_allclose(out[0, 2:7, 2:7, 0], np.outer(line, line), atol=FLOAT32)
    assert np.count_nonzero(out) == 25


@pytest.mark.parametrize("at_once", [False, True])
def test_each_view_has_its_sigma_and_each_image_its_coin(at_once):
    images = tf.constant(np.random.default_rng(0).random((2, 3, 32, 32, 3)), tf.float32)
    sigma = tf.constant([0.4, 1.7])
    coins = np.array([[True, False], [False, True], [True, True]])
    out = blur.random_blur(
        images, sigma=sigma, coins=tf.constant(coins.T), at_once=at_once
    )
    for image in range(3):
        for view in range(2):
            expected = images[view, image]
            if not coins[image, view]:
                np.testing.assert_array_equal(out[view, image], expected)
            else:
                expected = blur.gaussian_blur(
                    expected[tf.newaxis], sigma=sigma[view : view + 1], taps=3
                )[0]
            np.testing.assert_allclose(out[view, image], expected, atol=FLOAT32)


def test_small_views_stay_sharp():
    images = tf.constant(np.random.default_rng(0).random((1, 2, 16, 16, 3)), tf.float32)
    out = blur.random_blur(
        images, sigma=tf.constant([2.0]), coins=tf.constant([[True, True]])
    )
    np.testing.assert_array_equal(out, images)


@pytest.mark.parametrize("at_once", [False, True])
def test_blur_compiles(at_once):
    images = tf.constant(np.random.default_rng(0).random((2, 2, 40, 40, 3)), tf.float32)
    arguments = {
        "sigma": tf.constant([0.3, 1.0]),
        "coins": tf.constant([[True, False], [True, True]]),
    }
    compiled = tf.function(blur.random_blur, jit_compile=True)
    np.testing.assert_allclose(
        compiled(images, **arguments, at_once=at_once),
        blur.random_blur(images, **arguments),
        atol=FLOAT32,
    )
