"""Colour: the four changes, their factors and order, grayscale."""

from __future__ import annotations

import collections
import itertools

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

from sslkit.randomness import uniform
from sslkit.views import color

# Two float32 evaluations differ in the last bits. Saturation and hue divide by a
# difference of channels, which amplifies them.
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
        amounts = tf.constant([case[amount]], tf.float32)
        planes = tf.unstack(image[tf.newaxis], axis=-1)
        out = tf.stack(color.CHANGES[change](planes, amounts), axis=-1)[0]
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


def numbers(count: int) -> tf.Tensor:
    seeds = tf.stack([tf.range(count), tf.fill([count], 3)], axis=1)
    return uniform(seeds, color.NUMBERS)


def drawn(strength: float, count: int = 5000) -> color.Jitter:
    found = color.draw_jitter(numbers(count), strength=strength)
    return color.Jitter(*(part.numpy() for part in found))


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
    table = np.stack([ours.applied, *ours[2:], ours.order[:, 0]])
    off_diagonal = np.corrcoef(table)[~np.eye(6, dtype=bool)]
    # Standard error 0.014.
    assert np.abs(off_diagonal).max() < 0.06


def jitter(orders: list, applied: list | None = None) -> color.Jitter:
    count = len(orders)
    amounts = (tf.fill([count], amount) for amount in (1.6, 0.4, 1.5, 0.1))
    return color.Jitter(
        tf.constant(applied or [True] * count), tf.constant(orders), *amounts
    )


def one_by_one(image: tf.Tensor, order: list[int]) -> tf.Tensor:
    changes = [
        lambda x: x * 1.6,
        lambda x: tf.image.adjust_contrast(x, 0.4),
        lambda x: tf.image.adjust_saturation(x, 1.5),
        lambda x: tf.image.adjust_hue(x, 0.1),
    ]
    for place in order:
        image = tf.clip_by_value(changes[place](image), 0, 1)
    return image


@pytest.mark.parametrize(
    ("jit", "at_once"),
    [
        (False, False),
        (False, True),
        pytest.param(True, False, marks=pytest.mark.slow),
        (True, True),
    ],
)
def test_each_image_follows_its_order(at_once, jit):
    orders = [*map(list, itertools.permutations(range(4))), [0, 1, 2, 3]]
    applied = [True] * 24 + [False]
    images = tf.constant(np.random.default_rng(0).random((25, 6, 6, 3)), tf.float32)
    run = tf.function(color.apply_jitter, jit_compile=jit)
    out = run(images, jitter(orders, applied), at_once=at_once)
    for number, (image, order) in enumerate(zip(images, orders, strict=True)):
        expected = one_by_one(image, order) if applied[number] else image
        np.testing.assert_allclose(out[number], expected, atol=FLOAT32)
    first, second = (one_by_one(images[0], order) for order in (orders[0], orders[23]))
    assert np.abs(first - second).max() > 0.05


def test_an_order_sorts_the_numbers_and_ties_keep_their_places():
    rows = np.random.default_rng(0).random((50, 9)).astype(np.float32)
    rows[0, 5:] = 0.5
    rows[1, 5:] = [0.5, 0.1, 0.5, 0.1]
    order = color.draw_jitter(tf.constant(rows), strength=1.0).order
    np.testing.assert_array_equal(order, np.argsort(rows[:, 5:], kind="stable"))


def test_jitter_is_applied_to_four_in_five():
    # Standard error 0.006.
    assert abs(np.mean(drawn(1.0).applied) - 0.8) < 0.025
