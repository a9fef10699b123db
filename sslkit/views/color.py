"""Colour: the jitter of brightness, contrast, saturation and hue, and grayscale.

Chen et al. 2020, appendix A, with the multiplicative brightness of the released code.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Mapping
from typing import NamedTuple

import tensorflow as tf

from sslkit.views.grouping import by_kind

NUMBERS = 9
"""Uniform numbers that the jitter of one image takes."""

_PROBABILITY = 0.8
LUMA = (0.2989, 0.587, 0.114)
"""Shares of red, green and blue in the brightness of a pixel (ITU-R BT.601)."""


def brightness(images: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    """Multiplies all values."""
    return images * _per_image(factor)


def contrast(images: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    """Multiplies the distance of values to their channel's mean."""
    n, height, width, channels = images.shape
    # Rows first: XLA adds long contiguous lines many times faster than single pixels.
    mean = tf.reduce_mean(tf.reshape(images, [n, height, width * channels]), axis=1)
    mean = tf.reduce_mean(tf.reshape(mean, [n, 1, width, channels]), 2, keepdims=True)
    return (images - mean) * _per_image(factor) + mean


def saturation(images: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    """Multiplies the saturation of hue-saturation-value, up to 1."""
    channels = _planes(images)
    value, least = _extremes(channels)
    chroma = value - least
    # The largest factor that leaves no channel below zero.
    limit = tf.math.divide_no_nan(value, chroma)
    kept = tf.minimum(factor[:, tf.newaxis, tf.newaxis], limit)
    return _pixels([value - (value - channel) * kept for channel in channels])


def hue(images: tf.Tensor, shift: tf.Tensor) -> tf.Tensor:
    """Turns the hue of hue-saturation-value; a shift of 1 is the whole circle."""
    red, green, blue = _planes(images)
    value, least = _extremes([red, green, blue])
    chroma = value - least
    scale = tf.math.divide_no_nan(1.0, chroma)
    sixths = tf.where(
        value == red,
        (green - blue) * scale,
        tf.where(value == green, 2 + (blue - red) * scale, 4 + (red - green) * scale),
    )
    sixths += 6 * shift[:, tf.newaxis, tf.newaxis]
    channels = []
    for centre in (0.0, 2.0, 4.0):
        # How far round the circle of six from the channel's own hue: 0 to 3.
        away = sixths - centre
        away = tf.abs(away - 6 * tf.round(away / 6))
        channels.append(least + chroma * tf.clip_by_value(2 - away, 0.0, 1.0))
    return _pixels(channels)


CHANGES: Mapping[str, Callable[[tf.Tensor, tf.Tensor], tf.Tensor]] = {
    "brightness": brightness,
    "contrast": contrast,
    "saturation": saturation,
    "hue": hue,
}
"""What a jitter does: name -> (images float32 [n, h, w, 3] in [0, 1], amount float32
[n]) -> images."""

_ORDERS = [
    *itertools.permutations(range(len(CHANGES))),
    (len(CHANGES),) * len(CHANGES),
]
# The last of them: an image that is left alone.
_NONE = len(_ORDERS) - 1


class Jitter(NamedTuple):
    """The random numbers of the colour jitters of n images."""

    applied: tf.Tensor
    """bool [n]; four in five."""
    order: tf.Tensor
    """int32 [n, 4], permutations of places in `CHANGES`."""
    brightness: tf.Tensor
    """float32 [n], a factor."""
    contrast: tf.Tensor
    """float32 [n], a factor of the distance to the channel's mean."""
    saturation: tf.Tensor
    """float32 [n], a factor."""
    hue: tf.Tensor
    """float32 [n], a shift, in turns of the colour circle."""

    def words(self, image: int) -> list[str]:
        """Returns the changes to one image in their order, for people to read."""
        changes = list(zip(CHANGES, self[2:], strict=True))
        found = []
        for place in self.order[image]:
            name, amounts = changes[place]
            sign = "+" if name == "hue" else ""
            found.append(f"{name} {float(amounts[image]):{sign}.2f}")
        return found


def draw_jitter(numbers: tf.Tensor, *, strength: float) -> Jitter:
    """Turns uniform numbers into jitters.

    Args:
        numbers: float32 [n, NUMBERS] in [0, 1).
        strength: 1 lets the factors range over 1 +- 0.8 and the hue over +- 0.2.

    Returns:
        Independent uniform draws; a random order.
    """
    low, high = max(0.0, 1 - 0.8 * strength), 1 + 0.8 * strength
    factors = low + (high - low) * numbers[:, 1:4]
    return Jitter(
        applied=numbers[:, 0] < _PROBABILITY,
        order=tf.argsort(numbers[:, 5:9], axis=1),
        brightness=factors[:, 0],
        contrast=factors[:, 1],
        saturation=factors[:, 2],
        hue=(2 * numbers[:, 4] - 1) * 0.2 * strength,
    )


def apply_jitter(
    images: tf.Tensor,
    jitter: Jitter,
    *,
    dtype: tf.DType = tf.float32,
    tile: int = 1,
) -> tf.Tensor:
    """Changes the colours of images, one property after the other.

    Args:
        images: uint8, or float32 in [0, 1]; [n, h, w, 3], static shape.
        jitter: what to change in each, and in which order.
        dtype: of the result, float32 or uint8.
        tile: see `sslkit.views.grouping.by_kind`.

    Returns:
        `dtype` [n, h, w, 3]; clipped to [0, 1] after each change, and scaled to 255 and
        cut to whole steps at the end if uint8.
    """
    same = tf.reduce_all(
        jitter.order[:, tf.newaxis] == tf.constant(_ORDERS[:_NONE]), axis=2
    )
    kinds = tf.argmax(same, axis=1, output_type=tf.int32)
    kinds = tf.where(jitter.applied, kinds, _NONE)

    def treat(kind: tf.Tensor, rows: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
        amounts = rows[1]
        # Here, so that images are brought together and put back in bytes.
        images = tf.image.convert_image_dtype(rows[0], tf.float32)
        order = tf.gather(tf.constant(_ORDERS), kind)

        def change(place: tf.Tensor, images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            branches: list[Callable[[], tf.Tensor]] = [
                functools.partial(_clipped, apply, images, amounts[:, number])
                for number, apply in enumerate(CHANGES.values())
            ]
            return place + 1, tf.switch_case(
                tf.gather(order, place), [*branches, lambda: images]
            )

        _, images = tf.while_loop(
            lambda place, _: place < len(CHANGES),
            change,
            (tf.constant(0), images),
            maximum_iterations=len(CHANGES),
        )
        return tf.image.convert_image_dtype(images, dtype, saturate=True)

    return by_kind(
        kinds,
        len(_ORDERS),
        treat,
        (images, tf.stack(jitter[2:], axis=1)),
        tile=tile,
        dtype=dtype,
    )


def grayscale(images: tf.Tensor) -> tf.Tensor:
    """Returns float32 [..., 3] with the luma of the images in all three channels."""
    luma = tf.reduce_sum(images * tf.constant(LUMA), axis=-1, keepdims=True)
    return tf.repeat(luma, 3, axis=-1)


def _planes(images: tf.Tensor) -> list[tf.Tensor]:
    # [n, h, w] each: XLA works on long lines of one channel, not on triples.
    return tf.unstack(tf.transpose(images, [0, 3, 1, 2]), axis=1)


def _pixels(channels: list[tf.Tensor]) -> tf.Tensor:
    return tf.transpose(tf.stack(channels, axis=1), [0, 2, 3, 1])


def _extremes(channels: list[tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
    red, green, blue = channels
    return (
        tf.maximum(tf.maximum(red, green), blue),
        tf.minimum(tf.minimum(red, green), blue),
    )


def _clipped(
    change: Callable[[tf.Tensor, tf.Tensor], tf.Tensor],
    images: tf.Tensor,
    amount: tf.Tensor,
) -> tf.Tensor:
    return tf.clip_by_value(change(images, amount), 0.0, 1.0)


def _per_image(amount: tf.Tensor) -> tf.Tensor:
    return amount[:, tf.newaxis, tf.newaxis, tf.newaxis]
