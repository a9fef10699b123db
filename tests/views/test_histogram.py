"""Histograms: counts of values, however many pixels there are."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from sslkit.views.histogram import histogram


@pytest.mark.parametrize("jit", [False, True])
@pytest.mark.parametrize("shape", [(1, 1), (7, 16), (9, 25), (40, 52)])
def test_every_value_is_counted(shape, jit):
    images = np.random.default_rng(0).integers(0, 256, (2, *shape, 3), np.uint8)
    counts = tf.function(histogram, jit_compile=jit)(tf.constant(images))
    for image, own in zip(images, counts.numpy(), strict=True):
        for channel in range(3):
            expected = np.bincount(image[..., channel].ravel(), minlength=256)
            np.testing.assert_array_equal(own[channel], expected)


@pytest.mark.parametrize("value", [0, 3, 252, 255])
def test_counters_do_not_run_over(value):
    images = tf.fill([1, 60, 60, 1], tf.constant(value, tf.uint8))
    expected = np.zeros(256, int)
    expected[value] = 3600
    np.testing.assert_array_equal(histogram(images)[0, 0], expected)
