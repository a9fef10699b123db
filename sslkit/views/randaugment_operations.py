"""The sixteen operations of RandAugment on batches of uint8 images, bit for bit.

They are those of Cubuk et al. 2019 (arXiv:1909.13719), with the arithmetic of the
released TensorFlow code (its truncation, nearest neighbours, fill value 128). All take
and return uint8 [n, h, w, 3] with static height and width, and can be compiled by XLA.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from sslkit.views.color import LUMA

FILL = 128
"""Value of pixels that come from outside the image."""


def auto_contrast(images: tf.Tensor) -> tf.Tensor:
    """Stretches each channel so that its values span 0 to 255."""
    values = tf.cast(images, tf.float32)
    low = _over_channels(tf.reduce_min, values)
    high = _over_channels(tf.reduce_max, values)
    return stretched(images, low, high)


def stretched(values: tf.Tensor, low: tf.Tensor, high: tf.Tensor) -> tf.Tensor:
    """Maps a range of values to 0 to 255.

    Args:
        values: uint8.
        low: float32, the least of them; broadcasts.
        high: float32, the largest of them; broadcasts.

    Returns:
        uint8; the values themselves if they are all equal.
    """
    width = high - low
    # Subtract, then multiply: in another order, some pixels are rounded differently.
    moved = (tf.cast(values, tf.float32) - low) * (255.0 / tf.maximum(width, 1.0))
    return tf.where(width > 0, _saturate(moved), values)


def equalize(images: tf.Tensor) -> tf.Tensor:
    """Maps each channel's values so that all are about equally frequent."""
    n, height, width, channels = images.shape
    values = tf.transpose(tf.cast(images, tf.int32), [0, 3, 1, 2])
    values = tf.reshape(values, [n * channels, height * width])
    rows = tf.range(n * channels)[:, tf.newaxis]
    histogram = tf.tensor_scatter_nd_add(
        tf.zeros([n * channels * 256], tf.int32),
        tf.reshape(rows * 256 + values, [-1, 1]),
        tf.ones([n * channels * height * width], tf.int32),
    )
    table = equalization(tf.reshape(histogram, [n * channels, 256]), height * width)
    values = tf.gather(table, values, batch_dims=1)
    values = tf.reshape(values, [n, channels, height, width])
    return tf.transpose(values, [0, 2, 3, 1])


def equalization(histogram: tf.Tensor, pixels: int) -> tf.Tensor:
    """Returns the value to which `equalize` maps each value.

    Args:
        histogram: int32 [..., 256], how often a channel has each value.
        pixels: number of pixels of an image.

    Returns:
        uint8 [..., 256].
    """
    value = tf.range(256)
    brightest = brightest_of(histogram)[..., tf.newaxis]
    last = tf.reduce_sum(
        tf.where(value == brightest, histogram, 0), axis=-1, keepdims=True
    )
    step = (pixels - last) // 255
    below = tf.cumsum(histogram, axis=-1, exclusive=True)
    divisor = tf.maximum(step, 1)
    table = tf.clip_by_value((below + divisor // 2) // divisor, 0, 255)
    # The published table starts with a zero, not with a rounded half step.
    table = tf.where(value == 0, 0, table)
    return tf.cast(tf.where(step > 0, table, value), tf.uint8)


def darkest_of(histogram: tf.Tensor) -> tf.Tensor:
    """Returns the least value that occurs, int32 [...], of int32 [..., 256]."""
    return tf.reduce_min(tf.where(histogram > 0, tf.range(256), 255), axis=-1)


def brightest_of(histogram: tf.Tensor) -> tf.Tensor:
    """Returns the largest value that occurs, int32 [...], of int32 [..., 256]."""
    return tf.reduce_max(tf.where(histogram > 0, tf.range(256), 0), axis=-1)


def invert(images: tf.Tensor) -> tf.Tensor:
    """Returns the negative."""
    return 255 - images


def posterize(images: tf.Tensor, *, bits: int) -> tf.Tensor:
    """Keeps the highest bits of each value; at least one."""
    keep = 256 - 2 ** min(8 - bits, 7)
    return tf.bitwise.bitwise_and(images, tf.constant(keep, tf.uint8))


def solarize(images: tf.Tensor, *, threshold: int) -> tf.Tensor:
    """Inverts the values from a threshold on; 256 is 0 in uint8 and inverts all."""
    limit = tf.constant(threshold % 256, tf.uint8)
    return tf.where(images < limit, images, 255 - images)


def solarize_add(images: tf.Tensor, *, addition: int) -> tf.Tensor:
    """Adds to the values below 128, up to 255."""
    room = tf.minimum(images, tf.constant(255 - addition, tf.uint8))
    return tf.where(images < 128, room + tf.constant(addition, tf.uint8), images)


def color(images: tf.Tensor, *, factor: float) -> tf.Tensor:
    """Moves away from (factor > 1) or towards the grayscale image."""
    shares = tf.cast(images, tf.float32) * tf.constant(1 / 255)
    red, green, blue = (
        _rounded(shares[..., channel : channel + 1] * weight)
        for channel, weight in enumerate(LUMA)
    )
    gray = tf.floor(_rounded((red + green + blue) * 255.5))
    return _blend(gray, images, factor)


def contrast(images: tf.Tensor, *, factor: float, pixels: int) -> tf.Tensor:
    """Moves away from (factor > 1) or towards a gray that depends on the size alone.

    The released code is meant to use the mean brightness, but averages the 256 counts
    of the histogram, which gives the number of pixels / 256.
    """
    gray = min(pixels // 256, 255)
    return _blend(tf.constant(float(gray)), images, factor)


def brightness(images: tf.Tensor, *, factor: float) -> tf.Tensor:
    """Multiplies all values."""
    return _saturate(tf.cast(images, tf.float32) * factor)


def sharpness(images: tf.Tensor, *, factor: float) -> tf.Tensor:
    """Moves away from (factor > 1) or towards a smoothed image, except at borders."""
    _, height, width, _ = images.shape
    values = tf.pad(tf.cast(images, tf.float32), [[0, 0], [1, 1], [1, 1], [0, 0]])
    side = _rounded(values * tf.constant(1 / 13))
    middle = _rounded(values * tf.constant(5 / 13))
    # Summed row by row: in another order, some pixels are rounded differently.
    smooth: tf.Tensor | float = 0.0
    for row in range(3):
        for column in range(3):
            part = middle if row == column == 1 else side
            smooth = smooth + part[:, row : row + height, column : column + width]
    inside = tf.logical_and(
        _inside(height)[:, tf.newaxis, tf.newaxis], _inside(width)[:, tf.newaxis]
    )
    return tf.where(inside, _blend(tf.floor(smooth), images, factor), images)


def cutout(images: tf.Tensor, *, centre: tf.Tensor, half: int) -> tf.Tensor:
    """Fills squares of side 2 * half around pixels (int32 [n, 2]: row, column)."""
    _, height, width, _ = images.shape
    rows = _near(tf.range(height), centre[:, :1], half)
    columns = _near(tf.range(width), centre[:, 1:], half)
    square = tf.logical_and(rows[:, :, tf.newaxis], columns[:, tf.newaxis])
    return tf.where(square[..., tf.newaxis], tf.constant(FILL, tf.uint8), images)


Matrix = tuple[float, float, float, float, float, float]
"""A movement of pixels: with (a, b, c, d, e, f), the pixel at column x and row y comes
from column a x + b y + c and row d x + e y + f."""

STAYING: Matrix = (1, 0, 0, 0, 1, 0)
"""The movement that changes nothing."""


def rotation(height: int, width: int, *, degrees: float) -> Matrix:
    """Returns the movement that rotates an image counter-clockwise."""
    angle = np.float32(degrees) * np.float32(math.pi / 180)
    cos, sin = np.cos(angle), np.sin(angle)
    y, x = np.float32(height - 1), np.float32(width - 1)
    right = (x - (cos * x - sin * y)) / np.float32(2)
    down = (y - (sin * x + cos * y)) / np.float32(2)
    return (cos, -sin, right, sin, cos, down)


def shear(*, x: float = 0, y: float = 0) -> Matrix:
    """Returns the movement that shifts each row left by its number times `x`.

    It also shifts each column up by its number times `y`.
    """
    return (1, x, 0, y, 1, 0)


def translation(*, x: float = 0, y: float = 0) -> Matrix:
    """Returns the movement that shifts an image left by `x` and up by `y` pixels."""
    return (1, 0, x, 0, 1, y)


def move(images: tf.Tensor, matrices: tf.Tensor) -> tf.Tensor:
    """Moves pixels by nearest-neighbour sampling.

    Args:
        images: uint8 [n, h, w, 3].
        matrices: float32 [n, 6], see `Matrix`.

    Returns:
        uint8 [n, h, w, 3], filled if a pixel comes from outside the image.
    """
    n, height, width, channels = images.shape
    a, b, c, d, e, f = (
        part[:, tf.newaxis, tf.newaxis] for part in tf.unstack(matrices, axis=1)
    )
    x = tf.range(width, dtype=tf.float32)
    y = tf.range(height, dtype=tf.float32)[:, tf.newaxis]
    # If a place is half way between two pixels, the last bit decides, so products and
    # sums are rounded one by one.
    column = _nearest(_rounded(a * x) + _rounded(b * y) + c)
    row = _nearest(_rounded(d * x) + _rounded(e * y) + f)
    inside = _within(column, width) & _within(row, height)
    place = tf.cast(tf.where(inside, row * float(width) + column, 0.0), tf.int32)
    pixels = tf.reshape(images, [n, height * width, channels])
    moved = tf.gather(pixels, tf.reshape(place, [n, height * width]), batch_dims=1)
    moved = tf.reshape(moved, images.shape)
    return tf.where(inside[..., tf.newaxis], moved, tf.constant(FILL, tf.uint8))


def _nearest(places: tf.Tensor) -> tf.Tensor:
    """Rounds exactly to the nearest whole number, halves away from zero."""
    whole = tf.floor(tf.abs(places))
    up = tf.cast(tf.abs(places) - whole >= 0.5, tf.float32)
    return tf.sign(places) * (whole + up)


def _within(place: tf.Tensor, size: int) -> tf.Tensor:
    return tf.logical_and(place >= 0, place <= size - 1)


def _over_channels(reduce: Callable[..., tf.Tensor], images: tf.Tensor) -> tf.Tensor:
    # Rows first: XLA reduces long contiguous rows many times faster than pixels.
    n, height, width, channels = images.shape
    lines = reduce(tf.reshape(images, [n, height, width * channels]), axis=1)
    lines = tf.reshape(lines, [n, 1, width, channels])
    return reduce(lines, axis=2, keepdims=True)


def _inside(size: int) -> tf.Tensor:
    place = tf.range(size)
    return tf.logical_and(place > 0, place < size - 1)


def _near(place: tf.Tensor, centre: tf.Tensor, half: int) -> tf.Tensor:
    return tf.logical_and(place >= centre - half, place < centre + half)


def _blend(start: tf.Tensor, end: tf.Tensor, factor: float) -> tf.Tensor:
    """Interpolates between two images, and extrapolates if the factor exceeds 1."""
    return _saturate(start + _rounded(factor * (tf.cast(end, tf.float32) - start)))


def _saturate(values: tf.Tensor) -> tf.Tensor:
    return tf.cast(tf.clip_by_value(values, 0.0, 255.0), tf.uint8)


def _rounded(product: tf.Tensor) -> tf.Tensor:
    """Returns a product, rounded to float32.

    A compiler may fuse a product and a sum into one operation that rounds only once,
    which changes the last bit. This minimum prevents it.
    """
    return tf.minimum(product, 1e30)
