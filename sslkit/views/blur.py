"""Gaussian blur of a batch, on the device.

A separable blur, as a sum of shifted images on either axis: XLA turns each into one
pass over the pixels.
"""

from __future__ import annotations

import tensorflow as tf

from sslkit.views.grouping import by_kind

SIGMA = (0.1, 2.0)
"""Range of the standard deviation, in pixels (Chen et al. 2020, appendix A)."""


def taps(size: int) -> int:
    """Returns the published kernel's width in pixels, odd, for views of a side."""
    return 2 * (size // 10 // 2) + 1


def gaussian_blur(images: tf.Tensor, *, sigma: tf.Tensor, taps: int) -> tf.Tensor:
    """Blurs images with truncated Gaussians; zeros surround them.

    Args:
        images: float32 [n, height, width, channels], static shape.
        sigma: float32 [n], standard deviations in pixels.
        taps: width of the kernel in pixels, odd.

    Returns:
        float32, the shape of `images`.
    """
    n, height, width, channels = images.shape
    radius = taps // 2
    offsets = tf.range(-radius, radius + 1, dtype=tf.float32)
    weights = tf.exp(-tf.square(offsets) / (2 * tf.square(sigma)[:, tf.newaxis]))
    weights = weights / tf.reduce_sum(weights, axis=1, keepdims=True)
    lines = tf.reshape(images, [n, height, width * channels])
    for axis, step in ((1, 1), (2, channels)):
        lines = _weighted_shifts(lines, weights, axis=axis, step=step)
    return tf.reshape(lines, images.shape)


def random_blur(
    images: tf.Tensor, *, sigma: tf.Tensor, coins: tf.Tensor, tile: int = 1
) -> tf.Tensor:
    """Blurs some images of a batch, those of one view all with the same sigma.

    Args:
        images: float32 [batch, views, size, size, 3] in [0, 1], static shape.
        sigma: float32 [views], standard deviations in pixels.
        coins: bool [batch, views], which images to blur.
        tile: see `sslkit.views.grouping.by_kind`.

    Returns:
        float32 [batch, views, size, size, 3] in [0, 1].
    """
    batch, views, *shape = images.shape
    width = taps(shape[0])
    if width == 1:
        return images

    def treat(kind: tf.Tensor, rows: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
        pictures, sigmas = rows
        return tf.cond(
            kind == 1,
            lambda: tf.clip_by_value(
                gaussian_blur(pictures, sigma=sigmas, taps=width), 0.0, 1.0
            ),
            lambda: pictures,
        )

    mixed = by_kind(
        tf.cast(tf.reshape(coins, [-1]), tf.int32),
        2,
        treat,
        (tf.reshape(images, [batch * views, *shape]), tf.tile(sigma, [batch])),
        tile=tile,
        dtype=tf.float32,
    )
    return tf.reshape(mixed, images.shape)


def _weighted_shifts(
    lines: tf.Tensor, weights: tf.Tensor, *, axis: int, step: int
) -> tf.Tensor:
    count, size = weights.shape[1], lines.shape[axis]
    margins = [[0, 0], [0, 0], [0, 0]]
    margins[axis] = [count // 2 * step] * 2
    padded = tf.pad(lines, margins)
    total: tf.Tensor | float = 0.0
    for tap in range(count):
        first = tap * step
        shifted = (
            padded[:, first : first + size]
            if axis == 1
            else padded[:, :, first : first + size]
        )
        total = total + shifted * weights[:, tap, tf.newaxis, tf.newaxis]
    return total
