"""Small images that are stored in the page itself."""

from __future__ import annotations

import base64
import dataclasses
import math

import numpy as np
import tensorflow as tf

_PLAIN = 32
"""Images up to this side, in pixels, are stored without loss and shown enlarged."""
_QUALITY = 82


@dataclasses.dataclass(frozen=True)
class Picture:
    """One image in the page."""

    uri: str
    """`data:image/...;base64,...`"""
    alt: str
    """A text that says what it shows."""
    width: int
    height: int


@dataclasses.dataclass(frozen=True)
class Sprite:
    """Many images of the same side, as rows of one image."""

    uri: str
    side: int
    """The side of each, in pixels."""
    columns: int
    count: int


def picture(image: np.ndarray, alt: str, side: int) -> Picture:
    """Stores an image.

    Args:
        image: uint8 [height, width, 3], or float32 in [0, 1].
        alt: a text that says what it shows.
        side: the largest length of its longer side, in pixels.
    """
    pixels = tf.image.convert_image_dtype(image, tf.uint8, saturate=True)
    pixels = shrunk(pixels, side)
    height, width = (int(n) for n in pixels.shape[:2])
    return Picture(_uri(pixels), alt, width, height)


def sprite(images: np.ndarray) -> Sprite:
    """Stores many images as one.

    Args:
        images: uint8 [n, side, side, 3], n >= 1.
    """
    count, side = images.shape[:2]
    columns = math.ceil(math.sqrt(count))
    rows = math.ceil(count / columns)
    sheet = np.zeros([rows * columns, side, side, 3], np.uint8)
    sheet[:count] = images
    sheet = sheet.reshape(rows, columns, side, side, 3).swapaxes(1, 2)
    sheet = sheet.reshape(rows * side, columns * side, 3)
    return Sprite(_uri(tf.constant(sheet), side=side), side, columns, count)


def shrunk(pixels: tf.Tensor, side: int) -> tf.Tensor:
    """Makes an image smaller, if its longer side is above `side` pixels.

    Args:
        pixels: uint8 [height, width, 3].
        side: in pixels.
    """
    if max(pixels.shape[:2]) <= side:
        return pixels
    resized = tf.image.resize(
        pixels, [side, side], method="area", preserve_aspect_ratio=True
    )
    return tf.saturate_cast(tf.round(resized), tf.uint8)


def _uri(pixels: tf.Tensor, side: int | None = None) -> str:
    small = (side or max(pixels.shape[:2])) <= _PLAIN
    if small:
        kind, data = "png", tf.io.encode_png(pixels, compression=9)
    else:
        kind, data = "jpeg", tf.io.encode_jpeg(pixels, quality=_QUALITY)
    return f"data:image/{kind};base64,{base64.b64encode(data.numpy()).decode('ascii')}"
