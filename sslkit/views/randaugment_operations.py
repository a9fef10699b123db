"""The sixteen operations of RandAugment on batches of uint8 images, to the last bit.

Cubuk et al. 2019 (arXiv:1909.13719) in the arithmetic of the released TensorFlow code
(truncation where it truncates, nearest neighbours, fill value 128). All take and
return uint8 [n, h, w, 3] with static height and width, and compile.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from sslkit.views.color import LUMA

FILL = 128
"""Value of pixels that come from outside the image."""

_OUTSIDE = -1


def auto_contrast(images: tf.Tensor) -> tf.Tensor:
    """Stretches each channel so that its values span 0 to 255."""
    values = tf.cast(images, tf.float32)
    low = _over_channels(tf.reduce_min, values)
    width = _over_channels(tf.reduce_max, values) - low
    # Subtract, then multiply: another order rounds some pixels to another value.
    stretched = _saturate((values - low) * (255.0 / tf.maximum(width, 1.0)))
    return tf.where(width > 0, stretched, images)


def equalize(images: tf.Tensor) -> tf.Tensor:
    """Spreads each channel's values so that all are about equally frequent."""
    n, height, width, channels = images.shape
    values = tf.transpose(tf.cast(images, tf.int32), [0, 3, 1, 2])
    values = tf.reshape(values, [n * channels, height * width])
    rows = tf.range(n * channels)[:, tf.newaxis]
    histogram = tf.tensor_scatter_nd_add(
        tf.zeros([n * channels * 256], tf.int32),
        tf.reshape(rows * 256 + values, [-1, 1]),
        tf.ones([n * channels * height * width], tf.int32),
    )
    histogram = tf.reshape(histogram, [n * channels, 256])
    brightest = tf.reduce_max(values, axis=1, keepdims=True)
    step = (height * width - tf.gather(histogram, brightest, batch_dims=1)) // 255
    below = tf.cumsum(histogram, axis=1, exclusive=True)
    divisor = tf.maximum(step, 1)
    table = tf.clip_by_value((below + divisor // 2) // divisor, 0, 255)
    # The published table starts with a zero, not with half a step rounded.
    table = tf.concat([tf.zeros_like(table[:, :1]), table[:, 1:]], axis=1)
    table = tf.where(step > 0, table, tf.range(256))
    values = tf.gather(tf.cast(table, tf.uint8), values, batch_dims=1)
    values = tf.reshape(values, [n, channels, height, width])
    return tf.transpose(values, [0, 2, 3, 1])


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


def contrast(images: tf.Tensor, *, factor: float) -> tf.Tensor:
    """Moves away from (factor > 1) or towards a gray that depends on the size alone.

    The released code means the mean brightness but averages the 256 counts of its
    histogram, which is the number of pixels by 256.
    """
    _, height, width, _ = images.shape
    gray = min(height * width // 256, 255)
    return _blend(tf.constant(float(gray)), images, factor)


def brightness(images: tf.Tensor, *, factor: float) -> tf.Tensor:
    """Multiplies all values."""
    return _saturate(tf.cast(images, tf.float32) * factor)


def sharpness(images: tf.Tensor, *, factor: float) -> tf.Tensor:
    """Moves away from (factor > 1) or towards a smoothed image; borders stay."""
    _, height, width, _ = images.shape
    values = tf.pad(tf.cast(images, tf.float32), [[0, 0], [1, 1], [1, 1], [0, 0]])
    side = _rounded(values * tf.constant(1 / 13))
    middle = _rounded(values * tf.constant(5 / 13))
    # Summed row by row: another order rounds some pixels to another value.
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


def look_up(images: tf.Tensor, places: tf.Tensor) -> tf.Tensor:
    """Moves pixels.

    Args:
        images: uint8 [n, h, w, 3].
        places: int32 [n, h * w], where each pixel comes from, as `rotation`, `shear`
            and `translation` give it.

    Returns:
        uint8 [n, h, w, 3], filled where a pixel comes from outside.
    """
    n, height, width, channels = images.shape
    pixels = tf.reshape(images, [n, height * width, channels])
    moved = tf.gather(pixels, tf.maximum(places, 0), batch_dims=1)
    outside = (places == _OUTSIDE)[..., tf.newaxis]
    moved = tf.where(outside, tf.constant(FILL, tf.uint8), moved)
    return tf.reshape(moved, images.shape)


def rotation(height: int, width: int, *, degrees: float) -> np.ndarray:
    """Returns the places (int32 [h * w]) that turn an image counter-clockwise."""
    angle = np.float32(degrees) * np.float32(math.pi / 180)
    cos, sin = np.cos(angle), np.sin(angle)
    y, x = np.float32(height - 1), np.float32(width - 1)
    right = (x - (cos * x - sin * y)) / np.float32(2)
    down = (y - (sin * x + cos * y)) / np.float32(2)
    return _places(height, width, [cos, -sin, right, sin, cos, down])


def shear(height: int, width: int, *, x: float = 0, y: float = 0) -> np.ndarray:
    """Returns the places that shift each row left by its number times `x`.

    And each column up by its number times `y`.
    """
    return _places(height, width, [1, x, 0, y, 1, 0])


def translation(height: int, width: int, *, x: float = 0, y: float = 0) -> np.ndarray:
    """Returns the places that shift an image left by `x` and up by `y` pixels."""
    return _places(height, width, [1, 0, x, 0, 1, y])


def _places(height: int, width: int, matrix: list) -> np.ndarray:
    """Sends each pixel's place through a matrix, in float32; nearest neighbours.

    Worked out beforehand, in one arithmetic for all devices: where a place lies half
    way between two pixels, the last bit decides.
    """
    a, b, c, d, e, f = (np.float32(entry) for entry in matrix)
    y, x = np.mgrid[:height, :width].astype(np.float32)
    column, row = (
        np.trunc(place + np.copysign(0.5, place)).astype(np.int64)
        for place in (
            (a * x + b * y + c).astype(np.float64),
            (d * x + e * y + f).astype(np.float64),
        )
    )
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    return np.where(inside, row * width + column, _OUTSIDE).astype(np.int32).ravel()


def _over_channels(reduce: Callable[..., tf.Tensor], images: tf.Tensor) -> tf.Tensor:
    # Rows first: XLA reduces long contiguous lines many times faster than pixels.
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
    """Goes from one image to another, and past it where the factor exceeds 1."""
    return _saturate(start + _rounded(factor * (tf.cast(end, tf.float32) - start)))


def _saturate(values: tf.Tensor) -> tf.Tensor:
    return tf.cast(tf.clip_by_value(values, 0.0, 255.0), tf.uint8)


def _rounded(product: tf.Tensor) -> tf.Tensor:
    """Returns a product as float32 rounds it.

    A compiler may fuse a product and a sum into one operation that rounds once, which
    changes the last bit. It does not see through this minimum.
    """
    return tf.minimum(product, 1e30)
