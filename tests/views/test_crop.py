"""Crops: the legacy kernel, the evaluation view, the distribution of boxes."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

from sslkit.errors import UserError
from sslkit.randomness import host_view_seeds
from sslkit.views import crop

# Two float32 evaluations of the same sum of 16 products differ in the last bits.
FLOAT32 = 2e-6


@pytest.fixture
def photo() -> tf.Tensor:
    pixels = np.random.default_rng(0).integers(0, 256, (40, 60, 3))
    return tf.constant(pixels, tf.uint8)


def test_crop_and_resize_equals_the_published_one(float_ops):
    for case in float_ops.cases("crop_and_resize"):
        height, width = case["out"]
        out = crop.crop_and_resize(
            tf.constant(float_ops.arrays[case["input"]]),
            tf.constant(case["box_yxhw"]),
            height=height,
            width=width,
            kernel="legacy",
        )
        np.testing.assert_allclose(
            out, float_ops.arrays[case["name"]], atol=FLOAT32, err_msg=case["name"]
        )


def test_central_crop_equals_the_published_one(float_ops):
    # The golden has 40 by 24. The released code then cuts a box of aspect 40 / 24, with
    # height and width exchanged; for square views it makes no difference.
    for case in float_ops.cases("center_crop"):
        image = tf.constant(float_ops.arrays[case["input"]])
        box = crop.central_box(*image.shape[:2], aspect=40 / 24, proportion=0.875)
        out = crop.crop_and_resize(image, box, height=40, width=24, kernel="legacy")
        np.testing.assert_allclose(
            out, float_ops.arrays[case["name"]], atol=FLOAT32, err_msg=case["name"]
        )


def test_evaluation_view_equals_the_published_one(float_ops):
    for case in float_ops.cases("preprocess_image(is_training=False"):
        expected = float_ops.arrays[case["name"]]
        if expected.shape[0] == 32:
            continue  # small views keep their margin; see below
        image = tf.constant(float_ops.arrays[case["input"]])
        out = crop.evaluation_view(image, size=case["size"])
        # Ours is rounded to 8 bits.
        np.testing.assert_allclose(
            out / 255, expected, atol=0.5 / 255 + FLOAT32, err_msg=case["name"]
        )


def test_small_evaluation_view_is_the_image(float_ops):
    image = tf.constant(float_ops.images["cifar32"])
    out = crop.evaluation_view(image, size=32)
    np.testing.assert_array_equal(out, image)
    np.testing.assert_allclose(out / 255, float_ops.arrays["eval_cifar"], atol=FLOAT32)


def test_small_evaluation_view_keeps_the_whole_side():
    image = np.zeros((20, 30, 3), np.uint8)
    image[:, 5:25] = 200
    out = crop.evaluation_view(tf.constant(image), size=20)
    np.testing.assert_array_equal(out, np.full((20, 20, 3), 200))


@pytest.mark.parametrize("shape", [(1, 1), (3, 500), (500, 3), (2, 2)])
@pytest.mark.parametrize("size", [8, 48])
def test_evaluation_view_of_odd_shapes(shape, size):
    image = tf.fill([*shape, 3], tf.constant(77, tf.uint8))
    out = crop.evaluation_view(image, size=size)
    np.testing.assert_array_equal(out, np.full((size, size, 3), 77))


def test_modern_kernel_is_that_of_tf_image(photo):
    box = tf.constant([3, 5, 20, 30])
    out = crop.crop_and_resize(photo, box, height=16, width=24, kernel="modern")
    expected = tf.image.resize(photo[3:23, 5:35], [16, 24], method="bicubic") / 255
    np.testing.assert_allclose(out, expected, atol=FLOAT32)


def test_kernels_differ(photo):
    views = [
        crop.evaluation_view(photo, size=36, kernel=k) for k in ("legacy", "modern")
    ]
    assert np.any(views[0] != views[1])


def test_unknown_kernel_is_refused(photo):
    with pytest.raises(UserError, match=r"'cubic'; use one of .*legacy.*modern"):
        crop.evaluation_view(photo, size=36, kernel="cubic")


@pytest.mark.parametrize("area", [(0.0, 1.0), (0.5, 0.2), (0.5, 1.5)])
def test_impossible_area_is_refused(area):
    with pytest.raises(UserError, match="0 < low <= high <= 1"):
        crop.check_area(area)


def boxes(height: int, width: int, count: int, area=(0.08, 1.0)) -> np.ndarray:
    @tf.function
    def draw():
        return tf.map_fn(
            lambda i: crop.random_box(height, width, tf.stack([i, 7]), area=area),
            tf.range(count),
        )

    return draw().numpy()


@pytest.mark.parametrize("shape", [(32, 32), (375, 500), (224, 224), (500, 333)])
def test_random_boxes_have_the_published_distribution(random_draws, shape):
    ours = boxes(*shape, 4000).astype(float)
    theirs = random_draws.arrays["crop_yxhw_{}x{}".format(*shape)].astype(float)
    for name, measure in {
        "top": lambda b: b[:, 0],
        "left": lambda b: b[:, 1],
        "area": lambda b: b[:, 2] * b[:, 3],
        "aspect": lambda b: b[:, 3] / b[:, 2],
    }.items():
        # Kolmogorov-Smirnov: an equal distribution fails one time in 10000.
        test = scipy.stats.ks_2samp(measure(ours), measure(theirs))
        assert test.pvalue > 1e-4, name


def test_random_boxes_lie_inside_and_repeat():
    drawn = boxes(50, 70, 500, area=(0.2, 1.0))
    assert np.all(drawn[:, :2] >= 0)
    assert np.all(drawn[:, 0] + drawn[:, 2] <= 50)
    assert np.all(drawn[:, 1] + drawn[:, 3] <= 70)
    # A box has whole pixels, which changes its area by less than its edge.
    assert np.all(drawn[:, 2] * drawn[:, 3] > 0.2 * 50 * 70 - 50)
    np.testing.assert_array_equal(drawn, boxes(50, 70, 500, area=(0.2, 1.0)))


def test_chosen_images_are_mirrored(photo):
    out = crop.mirror(tf.stack([photo] * 3), tf.constant([True, False, True]))
    np.testing.assert_array_equal(out, [photo[:, ::-1], photo, photo[:, ::-1]])


@pytest.mark.parametrize("kernel", ["legacy", "modern"])
def test_crops_are_the_resized_boxes(photo, kernel):
    seed = tf.constant([4, 2])
    arguments = {"size": 24, "area": (0.1, 0.6), "kernel": kernel}
    crops = crop.random_crops(photo, seed, count=3, **arguments)
    for view, box_seed in enumerate(host_view_seeds(seed, 3)):
        box = crop.random_box(40, 60, box_seed, area=(0.1, 0.6))
        out = crop.crop_and_resize(photo, box, height=24, width=24, kernel=kernel)
        # Rounded to 8 bits.
        np.testing.assert_allclose(
            crops[view] / 255, np.clip(out, 0, 1), atol=0.5 / 255 + FLOAT32
        )


def test_to_uint8_rounds_to_the_nearest():
    values = tf.constant([-0.2, 0.0, 0.49 / 255, 0.51 / 255, 1.0, 1.3])
    np.testing.assert_array_equal(crop.to_uint8(values), [0, 0, 0, 1, 255, 255])
    steps = np.arange(256, dtype=np.uint8)
    floats = tf.image.convert_image_dtype(steps, tf.float32)
    np.testing.assert_array_equal(crop.to_uint8(floats), steps)
