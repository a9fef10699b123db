"""Gaussian blur of a batch, on the device: a sum of shifted images along each axis.

On a CPU, images are blurred one by one, and only with weights that are not negligible:
most blurs are narrow, and need a fraction of the work of the widest. On an accelerator,
all images are blurred at once, with all weights; for images that stay sharp, all
weights but one are zero.
"""

from __future__ import annotations

import tensorflow as tf

from sslkit.views.rows import row_by_row

SIGMA = (0.1, 2.0)
"""Range of the standard deviation, in pixels (Chen et al. 2020, appendix A)."""


_REACH = 6.0  # in standard deviations; exp(-18) is a quarter of float32's last bit


def taps(size: int) -> int:
    """Returns the published kernel's width in pixels, odd, for views of some size."""
    return 2 * (size // 10 // 2) + 1


def gaussian_blur(images: tf.Tensor, *, sigma: tf.Tensor, taps: int) -> tf.Tensor:
    """Blurs images with truncated Gaussians; outside the images there are zeros.

    Args:
        images: float32 [n, height, width, channels], static shape.
        sigma: float32 [n], standard deviations in pixels.
        taps: width of the kernel in pixels, odd.

    Returns:
        float32, the shape of `images`.
    """
    n, height, width, channels = images.shape
    weights = _weights(sigma, taps)
    # Weights farther out are too small to change a float32 sum.
    reach = tf.cast(tf.math.ceil(_REACH * tf.reduce_max(sigma)), tf.int32)
    reach = tf.minimum(reach, taps // 2)
    lines = tf.reshape(images, [n, height, width * channels])
    lines = _weighted_shifts(lines, weights, reach)
    lines = _weighted_shifts(_turned(lines, channels), weights, reach)
    return tf.reshape(_turned(lines, channels), images.shape)


def random_blur(
    images: tf.Tensor, *, sigma: tf.Tensor, coins: tf.Tensor, at_once: bool = False
) -> tf.Tensor:
    """Blurs some images of a batch, with one sigma per view.

    Args:
        images: float32 [views, batch, size, size, 3] in [0, 1], static shape.
        sigma: float32 [views], standard deviations in pixels.
        coins: bool [views, batch], which images to blur.
        at_once: whether to process the whole batch at once, which is best on an
            accelerator, or one image after the other, which is best on a CPU. The
            results differ only in the last bits of float32.

    Returns:
        float32 [views, batch, size, size, 3] in [0, 1].
    """
    views, batch, *shape = images.shape
    width = taps(shape[0])
    if width == 1:
        return images
    rows = tf.reshape(images, [views * batch, *shape])
    sigmas, chosen = tf.repeat(sigma, batch), tf.reshape(coins, [-1])
    if at_once:
        weights = _weights(sigmas, width)
        alone = tf.one_hot(0, width // 2 + 1)
        weights = tf.where(chosen[:, tf.newaxis], weights, alone)
        for axis in (1, 2):
            rows = _shifted_sum(rows, weights, axis)
        return tf.reshape(tf.clip_by_value(rows, 0.0, 1.0), images.shape)

    def treat(row: tuple[tf.Tensor, ...]) -> tf.Tensor:
        image, own, wanted = row
        return tf.cond(
            wanted[0],
            lambda: tf.clip_by_value(
                gaussian_blur(image, sigma=own, taps=width), 0.0, 1.0
            ),
            lambda: image,
        )

    mixed = row_by_row(treat, (rows, sigmas, chosen), dtype=tf.float32)
    return tf.reshape(mixed, images.shape)


def _weights(sigma: tf.Tensor, taps: int) -> tf.Tensor:
    """Returns the weights of the centre and of one side, float32 [n, taps // 2 + 1]."""
    radius = taps // 2
    offsets = tf.range(-radius, radius + 1, dtype=tf.float32)
    weights = tf.exp(-tf.square(offsets) / (2 * tf.square(sigma)[:, tf.newaxis]))
    weights = weights / tf.reduce_sum(weights, axis=1, keepdims=True)
    return weights[:, radius:]


def _shifted_sum(images: tf.Tensor, weights: tf.Tensor, axis: int) -> tf.Tensor:
    """Adds to each pixel its neighbours along an axis, one shift after another."""
    radius = weights.shape[1] - 1
    margins = [[0, 0]] * 4
    margins[axis] = [radius, radius]
    padded = tf.pad(images, margins)

    def shifted(by: int) -> tf.Tensor:
        start = [0] * 4
        start[axis] = radius + by
        return tf.slice(padded, start, images.shape)

    def weight(away: int) -> tf.Tensor:
        return weights[:, away, tf.newaxis, tf.newaxis, tf.newaxis]

    total = images * weight(0)
    for away in range(1, radius + 1):
        total += (shifted(-away) + shifted(away)) * weight(away)
    return total


def _turned(lines: tf.Tensor, channels: int) -> tf.Tensor:
    """Exchanges rows and columns: [n, a, b * channels] -> [n, b, a * channels]."""
    n, rows, width = lines.shape
    images = tf.reshape(lines, [n, rows, width // channels, channels])
    return tf.reshape(
        tf.transpose(images, [0, 2, 1, 3]), [n, width // channels, rows * channels]
    )


def _weighted_shifts(
    lines: tf.Tensor, weights: tf.Tensor, reach: tf.Tensor
) -> tf.Tensor:
    """Adds to each line its neighbours on both sides, up to `reach` lines away."""
    radius = weights.shape[1] - 1
    padded = tf.pad(lines, [[0, 0], [radius, radius], [0, 0]])

    def add(away: tf.Tensor, total: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        before, after = (
            tf.slice(padded, tf.stack([0, radius + side, 0]), lines.shape)
            for side in (-away, away)
        )
        weight = tf.gather(weights, away, axis=1)[:, tf.newaxis, tf.newaxis]
        return away + 1, total + (before + after) * weight

    return tf.while_loop(
        lambda away, _: away <= reach,
        add,
        (tf.constant(1), lines * weights[:, :1, tf.newaxis]),
        maximum_iterations=radius,
    )[1]
