"""Gaussian blur of a batch, on the device.

A separable blur is a banded matrix on either side of the image. As matrix products it
is as fast as a depthwise convolution outside XLA and many times faster inside.
"""

from __future__ import annotations

import tensorflow as tf

SIGMA = (0.1, 2.0)
"""Range of the standard deviation, in pixels (Chen et al. 2020, appendix A)."""


def taps(size: int) -> int:
    """Returns the published kernel's width in pixels, odd, for views of a side."""
    return 2 * (size // 10 // 2) + 1


def gaussian_blur(images: tf.Tensor, *, sigma: tf.Tensor, taps: int) -> tf.Tensor:
    """Blurs images with truncated Gaussians; zeros surround them.

    Args:
        images: float32 [batch, views, height, width, channels], static height and
            width.
        sigma: float32 [views], standard deviations in pixels.
        taps: width of the kernel in pixels, odd.

    Returns:
        float32, the shape of `images`.
    """
    rows = _bands(images.shape[2], sigma, taps)
    columns = _bands(images.shape[3], sigma, taps)
    images = tf.einsum("vhk,bvkwc->bvhwc", rows, images)
    return tf.einsum("vwk,bvhkc->bvhwc", columns, images)


def random_blur(images: tf.Tensor, *, sigma: tf.Tensor, coins: tf.Tensor) -> tf.Tensor:
    """Blurs some images of a batch, those of one view all with the same sigma.

    Args:
        images: float32 [batch, views, size, size, 3] in [0, 1].
        sigma: float32 [views], standard deviations in pixels.
        coins: bool [batch, views], which images to blur.

    Returns:
        float32 [batch, views, size, size, 3] in [0, 1].
    """
    width = taps(images.shape[2])
    if width == 1:
        return images
    blurred = gaussian_blur(images, sigma=sigma, taps=width)
    mixed = tf.where(coins[..., tf.newaxis, tf.newaxis, tf.newaxis], blurred, images)
    return tf.clip_by_value(mixed, 0.0, 1.0)


def _bands(size: int, sigma: tf.Tensor, taps: int) -> tf.Tensor:
    # Each row of a matrix holds the kernel, centred on the diagonal.
    radius = taps // 2
    scale = 2 * tf.square(sigma)[:, tf.newaxis, tf.newaxis]
    offsets = tf.range(-radius, radius + 1, dtype=tf.float32)
    total = tf.reduce_sum(tf.exp(-tf.square(offsets) / scale), axis=2, keepdims=True)
    place = tf.range(size, dtype=tf.float32)
    distance = tf.abs(place[:, tf.newaxis] - place)
    weights = tf.exp(-tf.square(distance) / scale) / total
    return tf.where(distance <= radius, weights, 0.0)
