"""Cropping and resizing: random crops for training, central ones for evaluation.

A box is int32 [4]: top, left, height, width, in pixels.
"""

from __future__ import annotations

from typing import Literal, get_args

import tensorflow as tf

from sslkit.errors import UserError
from sslkit.randomness import host_view_seeds

Kernel = Literal["legacy", "modern"]
"""Bicubic kernels. `legacy` is TensorFlow 1's (A = -0.75, sample i at i * scale), with
which the published weights were trained; `modern` is TensorFlow 2's (A = -0.5, pixel
centres at half-integers)."""

WHOLE_IMAGE_SIZE = 32
"""Evaluation views up to this side, in pixels, keep the margin of the image."""

_ASPECT = (3 / 4, 4 / 3)
LEAST_COVERED = 0.1
"""The least share of the image that a crop covers in SimCLR's code."""
_ATTEMPTS = 100


def check_kernel(kernel: str) -> None:
    """Refuses an unknown resize kernel.

    Raises:
        UserError: if `kernel` is not one of `Kernel`.
    """
    if kernel not in get_args(Kernel):
        raise UserError(f"kernel is {kernel!r}; use one of {get_args(Kernel)}")


def check_area(area: tuple[float, float], covered: float = LEAST_COVERED) -> None:
    """Refuses an impossible range of crop areas.

    Args:
        area: smallest and largest share of the image.
        covered: the least share that a box covers.

    Raises:
        UserError: if not 0 < low <= high <= 1, or if no box covers enough.
    """
    low, high = area
    if not 0 < low <= high <= 1:
        raise UserError(
            f"a crop's area is ({low:g}, {high:g}) of the image; "
            "give two shares with 0 < low <= high <= 1"
        )
    if high <= covered:
        # Every attempt would fail, and the whole image would be used.
        raise UserError(
            f"a crop's area is ({low:g}, {high:g}) of the image, but crops must cover "
            f"at least {covered:g} of it; give a larger share"
        )


def random_box(
    height: tf.Tensor,
    width: tf.Tensor,
    seed: tf.Tensor,
    *,
    area: tuple[float, float],
    covered: float = LEAST_COVERED,
) -> tf.Tensor:
    """Draws a box of random area, aspect ratio and place.

    The distribution is that of Chen et al. 2020, appendix A (after Szegedy et al.
    2015): the aspect ratio is between 3/4 and 4/3, at least a tenth of the image is
    covered, and after 100 failed attempts the whole image is used.

    Args:
        height: int32 [], of the image.
        width: int32 [], of the image.
        seed: int32 [2].
        area: smallest and largest share of the image.
        covered: the least share of the image that the box covers.

    Returns:
        int32 [4], a box.
    """
    begin, extent, _ = tf.image.stateless_sample_distorted_bounding_box(
        tf.stack([height, width, 3]),
        bounding_boxes=tf.constant([[[0.0, 0.0, 1.0, 1.0]]]),
        seed=seed,
        min_object_covered=covered,
        aspect_ratio_range=_ASPECT,
        area_range=area,
        max_attempts=_ATTEMPTS,
        use_image_if_no_bounding_boxes=True,
    )
    return tf.concat([begin[:2], extent[:2]], axis=0)


def central_box(
    height: tf.Tensor, width: tf.Tensor, *, aspect: float, proportion: float
) -> tf.Tensor:
    """Returns the box around the centre with a given aspect ratio.

    Args:
        height: int32 [], of the image.
        width: int32 [], of the image.
        aspect: width / height of the box.
        proportion: length of the box as a share of the image, along the limiting side.

    Returns:
        int32 [4], a box of at least one pixel.
    """
    tall, wide = tf.cast(height, tf.float32), tf.cast(width, tf.float32)
    box_height = proportion * tf.minimum(tall, wide / aspect)
    sides = tf.cast(tf.math.rint([box_height, box_height * aspect]), tf.int32)
    sides = tf.maximum(sides, 1)
    margin = (tf.stack([height, width]) - sides + 1) // 2
    return tf.concat([margin, sides], axis=0)


def crop_and_resize(
    image: tf.Tensor, box: tf.Tensor, *, height: int, width: int, kernel: Kernel
) -> tf.Tensor:
    """Cuts a box out and resizes it with a bicubic kernel.

    Args:
        image: uint8 [h, w, 3].
        box: int32 [4], inside the image.
        height: of the result, in pixels.
        width: of the result, in pixels.
        kernel: see `Kernel`.

    Returns:
        float32 [height, width, 3], in [0, 1] apart from the kernel's overshoot.

    Examples:
        >>> image = tf.fill([8, 8, 3], tf.constant(7, tf.uint8))
        >>> box = tf.constant([0, 0, 4, 4])
        >>> crop_and_resize(image, box, height=2, width=2, kernel="modern").shape
        TensorShape([2, 2, 3])
    """
    return _resized(image, box, height, width, kernel) * (1 / 255)


def _resized(
    image: tf.Tensor, box: tf.Tensor, height: int, width: int, kernel: Kernel
) -> tf.Tensor:
    patch = tf.slice(
        image, tf.concat([box[:2], [0]], 0), tf.concat([box[2:], [-1]], 0)
    )[tf.newaxis]
    # The operation is a third faster on floats than on bytes.
    resized = tf.raw_ops.ResizeBicubic(
        images=tf.cast(patch, tf.float32),
        size=[height, width],
        half_pixel_centers=kernel == "modern",
    )
    return tf.ensure_shape(resized[0], [height, width, 3])


def _to_pixels(values: tf.Tensor) -> tf.Tensor:
    return tf.cast(tf.clip_by_value(values + 0.5, 0.0, 255.0), tf.uint8)


def random_crops(
    image: tf.Tensor,
    seed: tf.Tensor,
    *,
    count: int,
    size: int,
    area: tuple[float, float],
    kernel: Kernel,
    covered: float = LEAST_COVERED,
    first: int = 0,
    views: int | None = None,
) -> tf.Tensor:
    """Cuts random boxes (see `random_box`) out and resizes each to a square.

    Args:
        image: uint8 [h, w, 3], any size.
        seed: int32 [2], the example's.
        count: how many boxes.
        size: side of the results, in pixels.
        area: smallest and largest share of the image.
        kernel: see `Kernel`.
        covered: see `random_box`.
        first: number of the first box among all views of the example.
        views: how many views the example has; `count` unless given.

    Returns:
        uint8 [count, size, size, 3]; the kernel's overshoot is clipped.
    """
    shape = tf.shape(image)

    def cut(box_seed: tf.Tensor) -> tf.Tensor:
        box = random_box(shape[0], shape[1], box_seed, area=area, covered=covered)
        return _to_pixels(_resized(image, box, size, size, kernel))

    # One loop body for all views: a graph of ten copies takes seconds to build.
    return tf.ensure_shape(
        tf.map_fn(
            cut,
            host_view_seeds(seed, views or count)[first : first + count],
            fn_output_signature=tf.TensorSpec([size, size, 3], tf.uint8),
        ),
        [count, size, size, 3],
    )


def mirror(images: tf.Tensor, chosen: tf.Tensor) -> tf.Tensor:
    """Mirrors images [n, h, w, 3] left to right if `chosen`, bool [n], is true."""
    return tf.where(
        chosen[:, tf.newaxis, tf.newaxis, tf.newaxis],
        tf.reverse(images, axis=[2]),
        images,
    )


def to_uint8(images: tf.Tensor) -> tf.Tensor:
    """Clips float32 to [0, 1] and rounds it to the nearest of 256 steps."""
    return _to_pixels(images * 255.0)


def evaluation_view(
    image: tf.Tensor,
    *,
    size: int,
    proportion: float = 0.875,
    kernel: Kernel = "legacy",
) -> tf.Tensor:
    """Returns the view of an image for evaluation.

    It is the central square, without a margin unless the view is small
    (`WHOLE_IMAGE_SIZE`), as in the evaluation code of Chen et al. 2020.

    Args:
        image: uint8 [h, w, 3], any size.
        size: side of the view, in pixels.
        proportion: share of the shorter side that is kept.
        kernel: see `Kernel`.

    Returns:
        uint8 [size, size, 3]; equal to `image` if that is square, of side `size`, and
        small.

    Raises:
        UserError: for an unknown kernel.
    """
    check_kernel(kernel)
    if size <= WHOLE_IMAGE_SIZE:
        proportion = 1.0
    shape = tf.shape(image)
    box = central_box(shape[0], shape[1], aspect=1.0, proportion=proportion)
    return _to_pixels(_resized(image, box, size, size, kernel))
