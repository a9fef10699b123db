"""Decoding images to RGB, and refusing those that are unsafe for the decoders."""

from __future__ import annotations

import tensorflow as tf

from sslkit.data.exif import UPRIGHT

__all__ = ["LARGEST", "READS_WEBP", "REVISION", "decode", "turn_upright"]

REVISION = 2
"""Increased when the code decodes an image to other pixels than before."""

LARGEST = 100_000_000
"""Pixels of the largest image that is decoded: 300 MB. Several images are decoded at
once, and with larger ones the run could end for lack of memory."""

READS_WEBP = hasattr(tf.io, "decode_webp")
"""Whether this TensorFlow decodes WebP."""

_RGBA_MASKS = bytes.fromhex("ff00000000ff00000000ff00")
_BGRA_MASKS = bytes.fromhex("0000ff0000ff0000ff000000")


def decode(content: tf.Tensor) -> tf.Tensor:
    """Decodes a JPEG, PNG, GIF (first frame), BMP or WebP image, in graph operations.

    Grey and CMYK images become RGB, 16-bit images are reduced to 8 bits, alpha is
    dropped.

    Args:
        content: string [], the encoded image.

    Returns:
        uint8 [height, width, 3].

    Raises:
        tf.errors.InvalidArgumentError: when it runs, if this is not a complete image,
            if it has more than `LARGEST` pixels, or if it is an animated WebP or a BMP
            whose pixels are packed in an unusual way.
    """
    content = tf.convert_to_tensor(content)
    # Every pipeline that reads files decodes them, twice; it is traced for them once in
    # a process, as that takes 0.4 s.
    return (_traced if tf.inside_function() else _decoded)(content)


def _decoded(content: tf.Tensor) -> tf.Tensor:
    image = tf.case(
        [
            (
                _starts(content, b"\xff\xd8\xff"),
                lambda: _any(content, _jpeg_pixels(content)),
            ),
            (
                _starts(content, b"\x89PNG"),
                lambda: _any(content, _pixels(content, 16, tf.int32, ">")),
            ),
            (
                _starts(content, b"GIF8"),
                lambda: _any(content, _pixels(content, 6, tf.uint16, "<")),
            ),
            (_starts(content, b"BM"), lambda: _bmp(content)),
            (_is_webp(content), lambda: _webp(content)),
        ],
        default=lambda: _any(content, tf.constant(0, tf.int64)),
    )
    image.set_shape([None, None, 3])
    return image


_traced = tf.function(
    _decoded, autograph=False, input_signature=[tf.TensorSpec([], tf.string)]
)


def turn_upright(image: tf.Tensor, orientation: tf.Tensor) -> tf.Tensor:
    """Rotates an image according to its EXIF orientation, in graph operations.

    Args:
        image: [height, width, channels].
        orientation: int32 [], 1 to 8; see `sslkit.data.exif`.

    Returns:
        The upright image; with orientations from 5 on, height and width are exchanged.
    """

    def turned() -> tf.Tensor:
        out = tf.cond(
            orientation >= 5, lambda: tf.transpose(image, [1, 0, 2]), lambda: image
        )
        for axis, flipped in ((0, (3, 4, 7, 8)), (1, (2, 3, 6, 7))):
            out = tf.cond(
                tf.reduce_any(orientation == flipped),
                lambda out=out, axis=axis: tf.reverse(out, [axis]),
                lambda out=out: out,
            )
        return out

    # Most images are upright, and are not copied.
    seen = tf.cond(orientation == UPRIGHT, lambda: image, turned)
    return tf.ensure_shape(seen, [None, None, image.shape[2]])


def _any(content: tf.Tensor, pixels: tf.Tensor) -> tf.Tensor:
    with tf.control_dependencies(_fits(pixels)):
        return tf.io.decode_image(
            tf.identity(content), channels=3, expand_animations=False
        )


def _bmp(content: tf.Tensor) -> tf.Tensor:
    """Reads a BMP; the decoder ignores colour masks and takes all pixels as BGRA."""
    bits = _number(content, 28, 2)
    packing = _number(content, 30, 4)
    masks = tf.strings.substr(content, 54, len(_RGBA_MASKS))
    masked = (bits == 32) & ((packing == 3) | (packing == 6))
    known = (packing == 0) | (
        masked & ((masks == _RGBA_MASKS) | (masks == _BGRA_MASKS))
    )
    known &= (_number(content, 14, 4) >= 40) & ((bits == 24) | (bits == 32))
    plain = tf.debugging.Assert(known, ["a BMP image of 24 or 32 plain bits is wanted"])
    with tf.control_dependencies([plain] if plain is not None else []):
        image = _any(content, _pixels(content, 18, tf.int32, "<"))
    return tf.cond(
        masked & (masks == _RGBA_MASKS),
        lambda: tf.reverse(image, [2]),
        lambda: image,
    )


def _is_webp(content: tf.Tensor) -> tf.Tensor:
    # `substr` raises an error past the end of its input.
    start = tf.strings.join([tf.strings.substr(content, 0, 12), " " * 12])
    return _starts(start, b"RIFF") & (tf.strings.substr(start, 8, 4) == b"WEBP")


def _webp(content: tf.Tensor) -> tf.Tensor:
    if not READS_WEBP:
        wrong = tf.debugging.Assert(
            False, [f"TensorFlow {tf.__version__} does not decode WebP"]
        )
        with tf.control_dependencies([wrong] if wrong is not None else []):
            return tf.zeros([1, 1, 3], tf.uint8)
    kind = tf.strings.substr(content, 12, 4)
    extended = kind == b"VP8X"
    # With an animation, the decoder writes past the end of its memory.
    animated = extended & (_number(content, 20, 1) // 2 % 2 == 1)
    still = tf.debugging.Assert(~animated, ["an animated WebP image"])
    bits = _number(content, 21, 4)
    sides = tf.case(
        [
            (extended, lambda: (_number(content, 24, 3), _number(content, 27, 3))),
            (kind == b"VP8L", lambda: (bits % 2**14, bits // 2**14 % 2**14)),
        ],
        default=lambda: (_number(content, 26, 2), _number(content, 28, 2)),
    )
    checks = [*([still] if still is not None else []), *_fits(sides[0] * sides[1])]
    with tf.control_dependencies(checks):
        # This decoder does not drop alpha.
        frames = tf.io.decode_webp(tf.identity(content), channels=0)
    return frames[0, ..., :3]


def _fits(pixels: tf.Tensor) -> list[tf.Operation]:
    fits = tf.debugging.assert_less_equal(
        pixels,
        tf.constant(LARGEST, tf.int64),
        f"an image of more than {LARGEST:,} pixels",
        summarize=1,
    )
    return [fits] if fits is not None else []


def _starts(content: tf.Tensor, magic: bytes) -> tf.Tensor:
    # If the content is shorter than the magic, `substr` returns all of it.
    return tf.strings.substr(content, 0, len(magic)) == magic


def _jpeg_pixels(content: tf.Tensor) -> tf.Tensor:
    shape = tf.io.extract_jpeg_shape(content, output_type=tf.int32)
    return tf.reduce_prod(tf.cast(shape[:2], tf.int64))


def _pixels(content: tf.Tensor, place: int, kind: tf.DType, order: str) -> tf.Tensor:
    """Multiplies height and width, which are next to each other in a header."""
    header = tf.strings.substr(content, place, 2 * kind.size)
    sides = tf.io.decode_raw(header, kind, little_endian=order == "<")
    return tf.reduce_prod(tf.abs(tf.cast(sides, tf.int64)))


def _number(content: tf.Tensor, place: int, size: int) -> tf.Tensor:
    """Returns the little-endian number of `size` bytes at a place, int64 []."""
    digits = tf.io.decode_raw(tf.strings.substr(content, place, size), tf.uint8)
    weights = tf.constant([256**n for n in range(size)], tf.int64)
    return tf.reduce_sum(tf.cast(digits, tf.int64) * weights)
