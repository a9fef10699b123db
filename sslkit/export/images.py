"""What a trained encoder takes for images: shapes, and the range of numbers."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from sslkit.api import UserError

LOW, HIGH = -0.5, 1.5
"""Between these, a float is a little off [0, 1], as resizing may leave it; beyond them
images were scaled in another way: to 0..255, or by a mean and a deviation."""


def check_images(images: Any, *, size: int | None, wanted: int) -> None:
    """Refuses what has not the shape or the type of a batch of images.

    Args:
        images: a tensor, with values or without.
        size: the side that they must have, or None for any.
        wanted: the side that is asked for in the message.

    Raises:
        UserError: naming the shape that came.
    """
    shape = list(images.shape)
    if len(shape) == 3 and shape[-1] == 3:
        raise UserError(
            f"a single image of shape {shape}; wanted a batch, [n, {wanted}, {wanted}, "
            "3]. Make one of it: images[None]."
        )
    fits = len(shape) == 4 and shape[-1] in (3, None)
    if not fits or (size and any(side not in (size, None) for side in shape[1:3])):
        raise UserError(
            f"images have the shape {shape}; wanted [n, {wanted}, {wanted}, 3]."
        )
    dtype = tf.as_dtype(keras.backend.standardize_dtype(images.dtype))
    if not (dtype.is_floating or dtype.is_integer):
        raise UserError(
            f"images are {dtype.name}; wanted floats in [0, 1], or integers from 0 to "
            "255."
        )


def check_range(images: tf.Tensor) -> None:
    """Refuses numbers that are far outside the range of their type.

    Args:
        images: with values; those of a graph, which has none yet, are not looked at.

    Raises:
        UserError: naming the smallest and the largest number.
    """
    if not hasattr(images, "numpy") or not images.shape.num_elements():
        return
    if not (images.dtype.is_floating or images.dtype.is_integer):
        return
    low, high = float(tf.reduce_min(images)), float(tf.reduce_max(images))
    if images.dtype.is_integer:
        if low < 0 or high > 255:
            raise UserError(
                f"images of integers go from {low:g} to {high:g}; wanted 0 to 255."
            )
    elif not (low >= LOW and high <= HIGH):
        raise UserError(
            f"images go from {low:.4g} to {high:.4g}; wanted floats in [0, 1]. Give "
            "bytes as they are, as uint8, or divide by 255; undo a scaling by mean and "
            "deviation."
        )


def in_unit_interval(images: tf.Tensor) -> tf.Tensor:
    """Returns images as float32, integers from 0 to 255 scaled to [0, 1]."""
    if images.dtype.is_integer:
        return tf.cast(images, tf.float32) / 255
    return tf.cast(images, tf.float32)


def asserted(images: tf.Tensor) -> tf.Tensor:
    """Returns images; in a graph, an error where they are far outside [0, 1].

    For exports, which cannot use `check_range`. XLA leaves it out.
    """
    near = (tf.reduce_min(images) >= LOW) & (tf.reduce_max(images) <= HIGH)
    message = "images are not in [0, 1]; give bytes as uint8, or divide them by 255:"
    with tf.control_dependencies([tf.debugging.Assert(near, [message, images[:1]])]):
        return tf.identity(images)
