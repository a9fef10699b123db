"""RandAugment: every operation bit for bit, and how operations are drawn."""

from __future__ import annotations

import collections
import functools

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

from sslkit.errors import UserError
from sslkit.randomness import uniform
from sslkit.views.randaugment import NAMES, NUMBERS, Draw, RandAugment


def run(operation, case: dict, image: np.ndarray) -> np.ndarray:
    return operation(
        tf.constant(image)[tf.newaxis],
        tf.constant([float(case["sign"] or 1)]),
        tf.constant([case["cutout_center"] or [0, 0]]),
    )[0].numpy()


@pytest.mark.parametrize(
    ("name", "jit"),
    [
        pytest.param(
            name,
            jit,
            # Seconds to compile; all are in test_policy_applies_what_it_draws.
            marks=pytest.mark.slow if jit else (),
        )
        for name in NAMES
        for jit in (False, True)
    ],
)
def test_operation_equals_the_published_one(uint8_ops, name, jit):
    cases = [case for case in uint8_ops.about["cases"] if case["op"] == name]
    assert len(cases) >= 16
    compiled = {}
    for case in cases:
        image = uint8_ops.images[case["image"]]
        kind = case["level"], *image.shape[:2]
        if kind not in compiled:
            operation = RandAugment(magnitude=kind[0]).operations(*kind[1:])[name]
            compiled[kind] = (
                tf.function(operation, jit_compile=True) if jit else operation
            )
        np.testing.assert_array_equal(
            run(compiled[kind], case, image),
            uint8_ops.arrays[case["name"]],
            err_msg=str(case),
        )


@pytest.mark.slow
@pytest.mark.parametrize("jit", [False, True])
def test_operations_at_once_equal_the_published_ones(uint8_ops, jit):
    stacks = collections.defaultdict(list)
    for case in uint8_ops.about["cases"]:
        image = uint8_ops.images[case["image"]]
        stacks[case["level"], *image.shape[:2]].append((case, image))
    assert sum(map(len, stacks.values())) >= 16 * 16
    for (level, height, width), found in stacks.items():
        cases = [case for case, _ in found]
        # Places at the centre of a pixel, which are exact as shares of the side.
        centres = np.array([case["cutout_center"] or [0, 0] for case in cases]) + 0.5
        draw = Draw(
            operation=tf.constant([[NAMES.index(case["op"])] for case in cases]),
            sign=tf.constant([[float(case["sign"] or 1)] for case in cases]),
            centre=tf.constant(centres / [height, width], tf.float32)[:, tf.newaxis],
        )
        policy = RandAugment(magnitude=level, layers=1)
        at_once = tf.function(functools.partial(policy, at_once=True), jit_compile=jit)
        out = at_once(tf.constant(np.stack([image for _, image in found])), draw)
        for case, own in zip(cases, out, strict=True):
            np.testing.assert_array_equal(
                own, uint8_ops.arrays[case["name"]], err_msg=str(case)
            )


def test_operations_come_in_the_published_order(uint8_ops):
    assert uint8_ops.about["ops"] == list(NAMES)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("value", [0, 128, 255])
def test_operations_accept_an_image_of_one_value(name, value):
    image = np.full((5, 7, 3), value, np.uint8)
    case = {"sign": -1, "cutout_center": [4, 0]}
    out = run(RandAugment().operations(5, 7)[name], case, image)
    assert out.shape == image.shape
    assert out.dtype == np.uint8


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("shape", [(1, 1), (2, 5)])
def test_operations_accept_the_smallest_images(name, shape):
    image = np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)
    case = {"sign": 1, "cutout_center": [0, 0]}
    out = run(RandAugment().operations(*shape)[name], case, image)
    assert out.shape == image.shape
    if name == "Sharpness":
        np.testing.assert_array_equal(out, image)


def drawn_by(policy: RandAugment, count: int) -> Draw:
    seeds = tf.stack([tf.range(count), tf.fill([count], 11)], axis=1)
    found = policy.draw(uniform(seeds, NUMBERS * policy.layers))
    return Draw(*(part.numpy() for part in found))


def test_operations_are_drawn_as_published(random_draws):
    drawn = drawn_by(RandAugment(), 8000)
    # The golden columns are (second layer, first layer), counted from 1.
    theirs = random_draws.arrays["randaug_second_first_op_index_plus1"]
    for layer in range(2):
        counts = np.bincount(drawn.operation[:, layer], minlength=16)
        published = np.bincount(theirs[:, 1 - layer] - 1, minlength=16)
        assert scipy.stats.chisquare(counts).pvalue > 1e-4
        both = np.stack([counts, published])
        assert scipy.stats.chi2_contingency(both).pvalue > 1e-4
    # With replacement: 1 / 16, standard error 0.0027.
    same = np.mean(drawn.operation[:, 0] == drawn.operation[:, 1])
    assert abs(same - 1 / 16) < 0.011


def test_signs_and_centres_are_even():
    drawn = drawn_by(RandAugment(layers=1), 4000)
    # Standard error 0.016.
    assert abs(drawn.sign.mean()) < 0.065
    assert set(np.unique(drawn.sign)) == {-1.0, 1.0}
    for column in drawn.centre[:, 0].T:
        assert scipy.stats.kstest(column, "uniform").pvalue > 1e-4


@pytest.mark.parametrize("at_once", [False, True])
def test_policy_applies_what_it_draws(at_once):
    policy = RandAugment(layers=3, magnitude=5)
    operations = list(policy.operations(9, 12).values())
    images = tf.constant(
        np.random.default_rng(0).integers(0, 256, (20, 9, 12, 3)), tf.uint8
    )
    drawn = drawn_by(policy, 20)
    out = tf.function(policy, jit_compile=True)(images, drawn, at_once=at_once)
    centres = tf.cast(drawn.centre * [9, 12], tf.int32)
    for number in range(20):
        expected = images[number : number + 1]
        for layer in range(3):
            expected = operations[drawn.operation[number, layer]](
                expected,
                drawn.sign[number : number + 1, layer],
                centres[number : number + 1, layer],
            )
        np.testing.assert_array_equal(out[number], expected[0])


def test_distances_scale():
    image = np.arange(1, 11, dtype=np.uint8)[None, :, None].repeat(3, 2)
    shift = RandAugment(magnitude=5, translate=4).operations(1, 10)["TranslateX"]
    out = run(shift, {"sign": 1, "cutout_center": None}, image)
    np.testing.assert_array_equal(out[0, :, 0], [*range(3, 11), 128, 128])
    cut = RandAugment(magnitude=5, cutout=4).operations(1, 10)["Cutout"]
    out = run(cut, {"sign": None, "cutout_center": [0, 5]}, image)
    np.testing.assert_array_equal(np.flatnonzero(out[0, :, 0] == 128), [3, 4, 5, 6])


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ({"magnitude": 11}, "magnitude is 11; give a number from 0 to 10"),
        ({"layers": -1}, "layers is -1; give 0 or more"),
        ({"cutout": -2}, "cutout is -2; give 0 or more"),
    ],
)
def test_impossible_numbers_are_refused(argument, message):
    with pytest.raises(UserError, match=message):
        RandAugment(**argument)
