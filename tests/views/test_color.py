"""Colour: the four changes, their factors and order, grayscale."""

from __future__ import annotations

import collections

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

from sslkit.views import color

# The float operations are TensorFlow's own; releases differ in the last bits. The
# saturation and hue kernels divide by a difference of channels, which amplifies them.
FLOAT32 = 1e-5


@pytest.mark.parametrize(
    ("change", "function", "amount"),
    [
        ("brightness", "x*factor then clip", "factor"),
        ("contrast", "tf.image.adjust_contrast", "factor"),
        ("saturation", "tf.image.adjust_saturation", "factor"),
        ("hue", "tf.image.adjust_hue", "delta"),
    ],
)
def test_changes_equal_the_published_ones(float_ops, change, function, amount):
    for case in float_ops.cases(function):
        image = tf.image.convert_image_dtype(
            float_ops.images[case["image"]], tf.float32
        )
        out = color.CHANGES[change](image, case[amount])
        if change == "brightness":
            out = tf.clip_by_value(out, 0, 1)
        np.testing.assert_allclose(
            out, float_ops.arrays[case["name"]], atol=FLOAT32, err_msg=case["name"]
        )


def test_grayscale_equals_the_published_one(float_ops):
    for case in float_ops.cases("to_grayscale"):
        image = tf.image.convert_image_dtype(
            float_ops.images[case["image"]], tf.float32
        )
        np.testing.assert_allclose(
            color.grayscale(image), float_ops.arrays[case["name"]], atol=FLOAT32
        )


def test_conversions_equal_the_published_ones(float_ops):
    for case in float_ops.cases("convert_image_dtype uint8"):
        out = tf.image.convert_image_dtype(float_ops.images[case["image"]], tf.float32)
        np.testing.assert_array_equal(out, float_ops.arrays[case["name"]])
    out = tf.image.convert_image_dtype(
        float_ops.arrays["f32tou8_in"], tf.uint8, saturate=True
    )
    np.testing.assert_array_equal(out, float_ops.arrays["f32tou8"])


def drawn(strength: float, count: int = 5000) -> color.Jitter:
    @tf.function
    def draw():
        return tf.map_fn(
            lambda i: color.draw_jitter(tf.stack([i, 3]), strength=strength),
            tf.range(count),
            fn_output_signature=color.Jitter(tf.int32, *[tf.float32] * 4),
        )

    return color.Jitter(*(part.numpy() for part in draw()))


@pytest.mark.parametrize("strength", [1.0, 0.5])
def test_factors_have_the_published_distribution(random_draws, strength):
    ours = drawn(strength)
    for name, kind in {
        "brightness": "factor",
        "contrast": "factor",
        "saturation": "factor",
        "hue": "delta",
    }.items():
        theirs = random_draws.arrays[f"{name}_{kind}_s{strength:g}"]
        # Kolmogorov-Smirnov: an equal distribution fails one time in 10000.
        test = scipy.stats.ks_2samp(getattr(ours, name), theirs)
        assert test.pvalue > 1e-4, name


@pytest.mark.parametrize("strength", [0.5, 1.0, 2.0])
def test_factors_stay_in_range(strength):
    ours = drawn(strength, 500)
    for factors in (ours.brightness, ours.contrast, ours.saturation):
        assert factors.min() >= max(0, 1 - 0.8 * strength)
        assert factors.max() <= 1 + 0.8 * strength
    assert np.abs(ours.hue).max() <= 0.2 * strength


def test_all_orders_are_equally_frequent():
    orders = collections.Counter(map(tuple, drawn(1.0).order))
    assert len(orders) == 24
    # 5000 / 24 = 208, standard deviation 14.
    assert all(140 < count < 280 for count in orders.values())


def test_draws_are_independent():
    ours = drawn(1.0)
    table = np.stack([*ours[1:], ours.order[:, 0]])
    off_diagonal = np.corrcoef(table)[~np.eye(5, dtype=bool)]
    # Standard error 0.014.
    assert np.abs(off_diagonal).max() < 0.06


def test_order_matters_and_is_followed():
    image = tf.constant(np.random.default_rng(0).random((6, 6, 3)), tf.float32)

    def run(order):
        return color.apply_jitter(
            image,
            color.Jitter(tf.constant(order), *map(tf.constant, (1.6, 0.4, 1.5, 0.1))),
        )

    expected = tf.clip_by_value(tf.image.adjust_hue(image, 0.1), 0, 1)
    expected = tf.clip_by_value(expected * 1.6, 0, 1)
    expected = tf.clip_by_value(tf.image.adjust_saturation(expected, 1.5), 0, 1)
    expected = tf.clip_by_value(tf.image.adjust_contrast(expected, 0.4), 0, 1)
    np.testing.assert_allclose(run([3, 0, 2, 1]), expected, atol=FLOAT32)
    assert np.abs(run([3, 0, 2, 1]) - run([1, 0, 2, 3])).max() > 0.05


def test_jitter_is_applied_to_four_in_five():
    image = tf.constant(np.random.default_rng(0).random((4, 4, 3)), tf.float32)

    @tf.function
    def changed(i):
        out = color.random_jitter(image, tf.stack([i, 0]), strength=1.0)
        return tf.reduce_any(out != image)

    share = np.mean([bool(changed(i)) for i in tf.range(600)])
    # Standard error 0.016.
    assert abs(share - 0.8) < 0.065


def test_no_strength_changes_nothing():
    image = tf.constant(np.random.default_rng(0).random((4, 4, 3)), tf.float32)
    out = color.random_jitter(image, tf.constant([1, 2]), strength=0.0)
    np.testing.assert_array_equal(out, image)
