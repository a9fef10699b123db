"""Decoding images of any kind to RGB, and refusing what no decoder should be given."""

from __future__ import annotations

import tensorflow as tf

__all__ = ["LARGEST", "REVISION", "decode"]

REVISION = 1
"""Goes up when an image is decoded to other pixels than before."""

LARGEST = 100_000_000
"""Pixels of the largest image that is decoded: 300 MB. Several are decoded at once, and
a larger one could end the run for want of memory."""


def decode(content: tf.Tensor) -> tf.Tensor:
    """Decodes a JPEG, PNG, GIF (first frame) or BMP image, in graph operations.

    Grey and CMYK images become RGB, 16-bit ones are cut to 8 bits, alpha is dropped.

    Args:
        content: string [], the encoded image.

    Returns:
        uint8 [height, width, 3].

    Raises:
        tf.errors.InvalidArgumentError: when it runs, if this is no whole image or one
            of more than `LARGEST` pixels.
    """
    pixels = tf.case(
        [
            (_starts(content, b"\xff\xd8\xff"), lambda: _jpeg_pixels(content)),
            (_starts(content, b"\x89PNG"), lambda: _pixels(content, 16, tf.int32, ">")),
            (_starts(content, b"GIF8"), lambda: _pixels(content, 6, tf.uint16, "<")),
            (_starts(content, b"BM"), lambda: _pixels(content, 18, tf.int32, "<")),
        ],
        default=lambda: tf.constant(0, tf.int64),
    )
    fits = tf.debugging.assert_less_equal(
        pixels,
        tf.constant(LARGEST, tf.int64),
        f"an image of more than {LARGEST:,} pixels",
        summarize=1,
    )
    with tf.control_dependencies([fits] if fits is not None else []):
        image = tf.io.decode_image(
            tf.identity(content), channels=3, expand_animations=False
        )
    image.set_shape([None, None, 3])
    return image


def _starts(content: tf.Tensor, magic: bytes) -> tf.Tensor:
    # Shorter than the magic: `substr` returns what there is.
    return tf.strings.substr(content, 0, len(magic)) == magic


def _jpeg_pixels(content: tf.Tensor) -> tf.Tensor:
    shape = tf.io.extract_jpeg_shape(content, output_type=tf.int32)
    return tf.reduce_prod(tf.cast(shape[:2], tf.int64))


def _pixels(content: tf.Tensor, place: int, kind: tf.DType, order: str) -> tf.Tensor:
    """Multiplies the two sides that a header holds one after the other."""
    header = tf.strings.substr(content, place, 2 * kind.size)
    sides = tf.io.decode_raw(header, kind, little_endian=order == "<")
    return tf.reduce_prod(tf.abs(tf.cast(sides, tf.int64)))
