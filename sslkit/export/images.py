"""Checks of the images that a trained encoder is given: shape, type and range."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from sslkit.api import UserError

LOW, HIGH = -0.5, 1.5
"""Resizing may make floats a little smaller than 0 or larger than 1. Beyond these
limits, images were scaled to 0..255, or by mean and standard deviation."""


def check_images(images: Any, *, size: int | None, wanted: int) -> None:
    """Refuses tensors without the shape or the type of a batch of images.

    Args:
        images: a tensor, with values or symbolic.
        size: the side that images must have; None for any.
        wanted: the side that the message names.

    Raises:
        UserError: if the shape or the type is wrong; names what came.
    """
    shape = list(images.shape)
    if len(shape) == 3 and shape[-1] == 3:
        raise UserError(
            f"images have the shape {shape}, which is that of a single image; wanted a "
            f"batch, [n, {wanted}, {wanted}, 3]. Use images[None]."
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
        images: a tensor; only one with values is checked, not a symbolic one.

    Raises:
        UserError: if they are; names the smallest and the largest number.
    """
    if not hasattr(images, "numpy") or not images.shape.num_elements():
        return
    if not (images.dtype.is_floating or images.dtype.is_integer):
        return
    low, high = float(tf.reduce_min(images)), float(tf.reduce_max(images))
    if images.dtype.is_integer:
        if low < 0 or high > 255:
            raise UserError(
                f"integer images go from {low:g} to {high:g}; wanted 0 to 255."
            )
    elif not (low >= LOW and high <= HIGH):
        raise UserError(
            f"images go from {low:.4g} to {high:.4g}; wanted floats in [0, 1]. Give "
            "bytes as uint8, or divide them by 255; do not scale by mean and standard "
            "deviation."
        )


def in_unit_interval(images: tf.Tensor) -> tf.Tensor:
    """Returns images as float32, integers from 0 to 255 scaled to [0, 1]."""
    if images.dtype.is_integer:
        return tf.cast(images, tf.float32) / 255
    return tf.cast(images, tf.float32)


def asserted(images: tf.Tensor) -> tf.Tensor:
    """Returns images, with an assertion in the graph that they are near [0, 1].

    For exports, which cannot use `check_range`. XLA ignores the assertion.
    """
    near = (tf.reduce_min(images) >= LOW) & (tf.reduce_max(images) <= HIGH)
    message = "images are not in [0, 1]; give bytes as uint8, or divide them by 255:"
    with tf.control_dependencies([tf.debugging.Assert(near, [message, images[:1]])]):
        return tf.identity(images)
