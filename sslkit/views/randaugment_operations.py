"""The sixteen operations of RandAugment on uint8 images, to the last bit.

Cubuk et al. 2019 (arXiv:1909.13719) in the arithmetic of the released TensorFlow code
(truncation where it truncates, nearest neighbours, fill value 128). All take and
return uint8 [h, w, 3].
"""

from __future__ import annotations

import math

import tensorflow as tf

FILL = 128
"""Value of pixels that come from outside the image."""


def auto_contrast(image: tf.Tensor) -> tf.Tensor:
    """Stretches each channel so that its values span 0 to 255."""
    values = tf.cast(image, tf.float32)
    low = tf.reduce_min(values, axis=[0, 1])
    width = tf.reduce_max(values, axis=[0, 1]) - low
    # Subtract, then multiply: another order rounds some pixels to another value.
    stretched = _saturate((values - low) * (255.0 / tf.maximum(width, 1.0)))
    return tf.where(width > 0, stretched, image)


def equalize(image: tf.Tensor) -> tf.Tensor:
    """Spreads each channel's values so that all are about equally frequent."""
    values = tf.cast(image, tf.int32)
    channels = [_equalize_channel(values[..., c]) for c in range(3)]
    return tf.cast(tf.stack(channels, axis=-1), tf.uint8)


def _equalize_channel(values: tf.Tensor) -> tf.Tensor:
    histogram = tf.math.bincount(
        tf.reshape(values, [-1]), minlength=256, maxlength=256, dtype=tf.int32
    )
    pixels = tf.reduce_sum(histogram)
    brightest = histogram[tf.reduce_max(values)]
    step = (pixels - brightest) // 255
    below = tf.cumsum(histogram, exclusive=True)
    divisor = tf.maximum(step, 1)
    table = tf.clip_by_value((below + divisor // 2) // divisor, 0, 255)
    # The published table starts with a zero, not with half a step rounded.
    table = tf.concat([[0], table[1:]], axis=0)
    table = tf.where(step > 0, table, tf.range(256))
    return tf.gather(table, values)


def invert(image: tf.Tensor) -> tf.Tensor:
    """Returns the negative."""
    return 255 - image


def posterize(image: tf.Tensor, *, bits: int) -> tf.Tensor:
    """Keeps the highest bits of each value; at least one."""
    keep = 256 - 2 ** min(8 - bits, 7)
    return tf.bitwise.bitwise_and(image, tf.constant(keep, tf.uint8))


def solarize(image: tf.Tensor, *, threshold: int) -> tf.Tensor:
    """Inverts the values from a threshold on; 256 is 0 in uint8 and inverts all."""
    limit = tf.constant(threshold % 256, tf.uint8)
    return tf.where(image < limit, image, 255 - image)


def solarize_add(image: tf.Tensor, *, addition: int) -> tf.Tensor:
    """Adds to the values below 128, up to 255."""
    room = tf.minimum(image, tf.constant(255 - addition, tf.uint8))
    return tf.where(image < 128, room + tf.constant(addition, tf.uint8), image)


def color(image: tf.Tensor, *, factor: float) -> tf.Tensor:
    """Moves away from (factor > 1) or towards the grayscale image."""
    gray = tf.image.grayscale_to_rgb(tf.image.rgb_to_grayscale(image))
    return _blend(gray, image, factor)


def contrast(image: tf.Tensor, *, factor: float) -> tf.Tensor:
    """Moves away from (factor > 1) or towards a gray that depends on the size alone.

    The released code means the mean brightness but averages the 256 counts of its
    histogram, which is the number of pixels by 256.
    """
    shape = tf.shape(image)
    gray = tf.minimum(shape[0] * shape[1] // 256, 255)
    return _blend(gray, image, factor)


def brightness(image: tf.Tensor, *, factor: float) -> tf.Tensor:
    """Multiplies all values."""
    return _saturate(tf.cast(image, tf.float32) * factor)


def sharpness(image: tf.Tensor, *, factor: float) -> tf.Tensor:
    """Moves away from (factor > 1) or towards a smoothed image; borders stay."""
    values = tf.cast(image, tf.float32)
    side, middle = values * tf.constant(1 / 13), values * tf.constant(5 / 13)
    # Summed row by row: another order rounds some pixels to another value.
    smooth: tf.Tensor | float = 0.0
    for row, last_row in ((0, -2), (1, -1), (2, None)):
        for column, last_column in ((0, -2), (1, -1), (2, None)):
            part = middle if row == column == 1 else side
            smooth = smooth + part[row:last_row, column:last_column]
    inner = _blend(tf.floor(smooth), image[1:-1, 1:-1], factor)
    lines = tf.concat([image[1:-1, :1], inner, image[1:-1, -1:]], axis=1)
    return tf.concat([image[:1], lines, image[-1:]], axis=0)


def rotate(image: tf.Tensor, *, degrees: tf.Tensor) -> tf.Tensor:
    """Turns the image counter-clockwise around its centre."""
    angle = tf.cast(degrees, tf.float32) * (math.pi / 180)
    cos, sin = tf.cos(angle), tf.sin(angle)
    shape = tf.cast(tf.shape(image), tf.float32)
    y, x = shape[0] - 1, shape[1] - 1
    right = (x - (cos * x - sin * y)) / 2
    down = (y - (sin * x + cos * y)) / 2
    return _transform(image, [cos, -sin, right, sin, cos, down])


def shear_x(image: tf.Tensor, *, slope: tf.Tensor) -> tf.Tensor:
    """Shifts each row left by its number times the slope."""
    return _transform(image, [1.0, slope, 0.0, 0.0, 1.0, 0.0])


def shear_y(image: tf.Tensor, *, slope: tf.Tensor) -> tf.Tensor:
    """Shifts each column up by its number times the slope."""
    return _transform(image, [1.0, 0.0, 0.0, slope, 1.0, 0.0])


def translate_x(image: tf.Tensor, *, pixels: tf.Tensor) -> tf.Tensor:
    """Shifts the image left."""
    return _transform(image, [1.0, 0.0, pixels, 0.0, 1.0, 0.0])


def translate_y(image: tf.Tensor, *, pixels: tf.Tensor) -> tf.Tensor:
    """Shifts the image up."""
    return _transform(image, [1.0, 0.0, 0.0, 0.0, 1.0, pixels])


def cutout(image: tf.Tensor, *, centre: tf.Tensor, half: int) -> tf.Tensor:
    """Fills a square of side 2 * half around a pixel (int32 [2]: row, column)."""
    shape = tf.shape(image)
    rows = _near(tf.range(shape[0]), centre[0], half)
    columns = _near(tf.range(shape[1]), centre[1], half)
    square = tf.logical_and(rows[:, tf.newaxis], columns)
    return tf.where(square[..., tf.newaxis], tf.constant(FILL, tf.uint8), image)


def _near(place: tf.Tensor, centre: tf.Tensor, half: int) -> tf.Tensor:
    return tf.logical_and(place >= centre - half, place < centre + half)


def _blend(start: tf.Tensor, end: tf.Tensor, factor: float) -> tf.Tensor:
    """Goes from one image to another, and past it where the factor exceeds 1."""
    start, end = tf.cast(start, tf.float32), tf.cast(end, tf.float32)
    return _saturate(start + factor * (end - start))


def _saturate(values: tf.Tensor) -> tf.Tensor:
    return tf.cast(tf.clip_by_value(values, 0.0, 255.0), tf.uint8)


def _transform(image: tf.Tensor, matrix: list) -> tf.Tensor:
    """Looks each pixel up at `matrix` times its place; nearest neighbour."""
    row = tf.stack([tf.cast(entry, tf.float32) for entry in [*matrix, 0.0, 0.0]])
    moved = tf.raw_ops.ImageProjectiveTransformV3(
        images=image[tf.newaxis],
        transforms=row[tf.newaxis],
        output_shape=tf.shape(image)[:2],
        fill_value=float(FILL),
        interpolation="NEAREST",
        fill_mode="CONSTANT",
    )
    return tf.ensure_shape(moved[0], image.shape)
