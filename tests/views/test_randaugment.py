"""RandAugment: every operation to the last bit, and how operations are drawn."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

from sslkit.errors import UserError
from sslkit.views.randaugment import Draw, RandAugment

OPERATIONS = list(RandAugment().operations)


def run(operation, case: dict, image: np.ndarray) -> np.ndarray:
    return operation(
        tf.constant(image),
        tf.constant(float(case["sign"] or 1)),
        tf.constant(case["cutout_center"] or [0, 0]),
    ).numpy()


@pytest.mark.parametrize("graph", [False, True])
@pytest.mark.parametrize("name", OPERATIONS)
def test_operation_equals_the_published_one(uint8_ops, name, graph):
    cases = [case for case in uint8_ops.about["cases"] if case["op"] == name]
    assert len(cases) >= 16
    for level in {case["level"] for case in cases}:
        operation = RandAugment(magnitude=level).operations[name]
        if graph:
            operation = tf.function(operation, reduce_retracing=True)
        for case in cases:
            if case["level"] == level:
                np.testing.assert_array_equal(
                    run(operation, case, uint8_ops.images[case["image"]]),
                    uint8_ops.arrays[case["name"]],
                    err_msg=str(case),
                )


def test_operations_come_in_the_published_order(uint8_ops):
    assert uint8_ops.about["ops"] == OPERATIONS


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("value", [0, 128, 255])
def test_operations_accept_an_image_of_one_value(name, value):
    image = np.full((5, 7, 3), value, np.uint8)
    case = {"sign": -1, "cutout_center": [4, 0]}
    out = run(RandAugment().operations[name], case, image)
    assert out.shape == image.shape
    assert out.dtype == np.uint8


def draws(policy: RandAugment, count: int) -> Draw:
    @tf.function
    def draw():
        return tf.map_fn(
            lambda i: policy.draw(tf.stack([i, 11])),
            tf.range(count),
            fn_output_signature=Draw(tf.int32, tf.float32, tf.float32),
        )

    return Draw(*(part.numpy() for part in draw()))


def test_operations_are_drawn_as_published(random_draws):
    drawn = draws(RandAugment(), 8000)
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
    drawn = draws(RandAugment(layers=1), 4000)
    # Standard error 0.016.
    assert abs(drawn.sign.mean()) < 0.065
    assert set(np.unique(drawn.sign)) == {-1.0, 1.0}
    for column in drawn.centre[:, 0].T:
        assert scipy.stats.kstest(column, "uniform").pvalue > 1e-4


def test_policy_applies_what_it_draws():
    policy = RandAugment(layers=3, magnitude=5)
    operations = list(policy.operations.values())
    image = tf.constant(np.random.default_rng(0).integers(0, 256, (9, 12, 3)), tf.uint8)
    compiled = tf.function(policy)
    for number in range(20):
        seed = tf.constant([number, 5])
        drawn = policy.draw(seed)
        expected = image
        for layer in range(3):
            centre = tf.cast(drawn.centre[layer] * [9, 12], tf.int32)
            expected = operations[drawn.operation[layer]](
                expected, drawn.sign[layer], centre
            )
        np.testing.assert_array_equal(compiled(image, seed), expected)


def test_distances_scale():
    image = tf.constant(np.arange(1, 11, dtype=np.uint8)[None, :, None].repeat(3, 2))
    shift = RandAugment(magnitude=5, translate=4).operations["TranslateX"]
    out = shift(image, tf.constant(1.0), tf.constant([0, 0]))
    np.testing.assert_array_equal(out[0, :, 0], [*range(3, 11), 128, 128])
    cut = RandAugment(magnitude=5, cutout=4).operations["Cutout"]
    out = cut(image, tf.constant(1.0), tf.constant([0, 5]))
    np.testing.assert_array_equal(np.flatnonzero(out[0, :, 0] == 128), [3, 4, 5, 6])


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ({"magnitude": 11}, "magnitude is 11; it runs from 0 to 10"),
        ({"layers": -1}, "layers is -1; give 0 or more"),
        ({"cutout": -2}, "cutout is -2; give 0 or more"),
    ],
)
def test_impossible_numbers_are_refused(argument, message):
    with pytest.raises(UserError, match=message):
        RandAugment(**argument)
