"""Colour: the jitter of brightness, contrast, saturation and hue, and grayscale.

Chen et al. 2020, appendix A, with the multiplicative brightness of the released code.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import NamedTuple

import tensorflow as tf

from sslkit.views.rows import row_by_row

NUMBERS = 9
"""Number of uniform random numbers for the jitter of one image."""

_PROBABILITY = 0.8
LUMA = (0.2989, 0.587, 0.114)
"""Shares of red, green and blue in the brightness of a pixel (ITU-R BT.601)."""


Planes = list[tf.Tensor]
"""Red, green and blue of n images, float32 [n, h, w] each: XLA is faster on long rows
of one channel than on triples."""


def _brightness(planes: Planes, factor: tf.Tensor) -> Planes:
    return [plane * _of(factor) for plane in planes]


def _contrast(planes: Planes, factor: tf.Tensor) -> Planes:
    changed = []
    for plane in planes:
        # Rows first: XLA adds long contiguous rows many times faster than single
        # pixels.
        mean = tf.reduce_mean(tf.reduce_mean(plane, axis=1), axis=1)
        changed.append((plane - _of(mean)) * _of(factor) + _of(mean))
    return changed


def _saturation(planes: Planes, factor: tf.Tensor) -> Planes:
    value, least = _extremes(planes)
    chroma = value - least
    # The largest factor with which no channel is below zero.
    limit = tf.math.divide_no_nan(value, chroma)
    kept = tf.minimum(_of(factor), limit)
    return [value - (value - plane) * kept for plane in planes]


def _hue(planes: Planes, shift: tf.Tensor) -> Planes:
    red, green, blue = planes
    value, least = _extremes(planes)
    chroma = value - least
    scale = tf.math.divide_no_nan(1.0, chroma)
    sixths = tf.where(
        value == red,
        (green - blue) * scale,
        tf.where(value == green, 2 + (blue - red) * scale, 4 + (red - green) * scale),
    )
    sixths += 6 * _of(shift)
    turned = []
    for centre in (0.0, 2.0, 4.0):
        # Distance from the channel's own hue on the colour circle of length 6: 0 to 3.
        away = sixths - centre
        away = tf.abs(away - 6 * tf.round(away / 6))
        turned.append(least + chroma * tf.clip_by_value(2 - away, 0.0, 1.0))
    return turned


CHANGES: Mapping[str, Callable[[Planes, tf.Tensor], Planes]] = {
    "brightness": _brightness,
    "contrast": _contrast,
    "saturation": _saturation,
    "hue": _hue,
}
"""The changes of a jitter: name -> (planes in [0, 1], amount float32 [n]) -> planes.
They multiply all values; multiply the distance of values to their channel's mean;
multiply the saturation in hue-saturation-value, up to 1; and shift its hue, where a
shift of 1 is the whole colour circle. The results are not clipped."""


class Jitter(NamedTuple):
    """The random numbers of the colour jitters of n images."""

    applied: tf.Tensor
    """bool [n]; whether the image is changed, with a probability of 4/5."""
    order: tf.Tensor
    """int32 [n, 4], the order of the changes, as indices into `CHANGES`."""
    brightness: tf.Tensor
    """float32 [n], a factor."""
    contrast: tf.Tensor
    """float32 [n], a factor of the distance to the channel's mean."""
    saturation: tf.Tensor
    """float32 [n], a factor."""
    hue: tf.Tensor
    """float32 [n], a shift, in turns of the colour circle."""

    def words(self, image: int) -> list[str]:
        """Returns the changes to one image in their order, as texts."""
        changes = list(zip(CHANGES, self[2:], strict=True))
        found = []
        for place in self.order[image]:
            name, amounts = changes[place]
            sign = "+" if name == "hue" else ""
            found.append(f"{name} {float(amounts[image]):{sign}.2f}")
        return found


Strength = float | tuple[float, float, float, float]
"""The strength of the jitter. Four numbers say how far the factors of brightness,
contrast and saturation may be from 1, and the shift of the hue from 0. One number s is
short for (0.8 s, 0.8 s, 0.8 s, 0.2 s)."""


def draw_jitter(numbers: tf.Tensor, *, strength: Strength) -> Jitter:
    """Makes jitters from uniform random numbers.

    Args:
        numbers: float32 [n, NUMBERS] in [0, 1).
        strength: see `Strength`.

    Returns:
        Jitters with independent uniform amounts, in a random order.
    """
    if isinstance(strength, tuple):
        *reach, turn = strength
    else:
        reach, turn = [0.8 * strength] * 3, 0.2 * strength
    low = [max(0.0, 1 - by) for by in reach]
    width = [1 + by - least for by, least in zip(reach, low, strict=True)]
    factors = tf.constant(low) + tf.constant(width) * numbers[:, 1:4]
    return Jitter(
        applied=numbers[:, 0] < _PROBABILITY,
        order=_sorted(numbers[:, 5:9]),
        brightness=factors[:, 0],
        contrast=factors[:, 1],
        saturation=factors[:, 2],
        hue=(2 * numbers[:, 4] - 1) * turn,
    )


def apply_jitter(
    images: tf.Tensor,
    jitter: Jitter,
    *,
    dtype: tf.DType = tf.float32,
    at_once: bool = False,
) -> tf.Tensor:
    """Changes brightness, contrast, saturation and hue of images, one after the other.

    Args:
        images: uint8, or float32 in [0, 1]; [n, h, w, 3], static shape.
        jitter: what to change in each, and in which order.
        dtype: of the result, float32 or uint8.
        at_once: whether to process the whole batch at once, which is best on an
            accelerator, or one image after the other, which is best on a CPU. The
            results differ only in the last bits of float32.

    Returns:
        `dtype` [n, h, w, 3]; clipped to [0, 1] after each change. For uint8, scaled to
        255 and truncated to whole numbers at the end.
    """
    if at_once:
        planes = _jittered(_planes(images), jitter)
        return tf.image.convert_image_dtype(tf.stack(planes, -1), dtype, saturate=True)

    def treat(row: tuple[tf.Tensor, ...]) -> tf.Tensor:
        image, applied, order, amounts = row
        changes = [
            functools.partial(change, factor=amounts[:, number])
            for number, change in enumerate(_clipped)
        ]
        # No iteration at all for an image that is not changed.
        _, planes = tf.while_loop(
            lambda place, _: tf.logical_and(applied[0], place < len(CHANGES)),
            lambda place, planes: (
                place + 1,
                tf.switch_case(
                    tf.gather(order[0], place),
                    [functools.partial(change, planes) for change in changes],
                ),
            ),
            (tf.constant(0), _planes(image)),
            maximum_iterations=len(CHANGES),
        )
        return tf.image.convert_image_dtype(tf.stack(planes, -1), dtype, saturate=True)

    amounts = tf.stack(jitter[2:], axis=1)
    return row_by_row(
        treat, (images, jitter.applied, jitter.order, amounts), dtype=dtype
    )


def solarize(images: tf.Tensor) -> tf.Tensor:
    """Returns float32 in [0, 1], with values from 0.5 on inverted."""
    return tf.where(images < 0.5, images, 1.0 - images)


def grayscale(images: tf.Tensor) -> tf.Tensor:
    """Returns float32 [..., 3] with the luma of the images in all three channels."""
    luma = tf.reduce_sum(images * tf.constant(LUMA), axis=-1, keepdims=True)
    return tf.repeat(luma, 3, axis=-1)


def _jittered(planes: Planes, jitter: Jitter) -> Planes:
    """Changes all images at once, with one selection per place in the order.

    An image's contrast is changed only once, so its mean is computed only once: first
    come the changes that precede the contrast, then the contrast, then the others.
    """
    names = list(CHANGES)
    last = len(names) - 1
    contrast = names.index("contrast")
    middle = tf.reduce_sum(
        tf.range(last + 1) * tf.cast(jitter.order == contrast, tf.int32), axis=1
    )

    def at(place: int, chosen: tf.Tensor, planes: Planes) -> Planes:
        change = jitter.order[:, place]
        found = planes
        for number, name in enumerate(names):
            if number != contrast:
                own = tf.logical_and(chosen, change == number)
                found = _where(own, CHANGES[name](planes, jitter[2 + number]), found)
        return found

    for place in range(last):
        before = tf.logical_and(jitter.applied, place < middle)
        planes = at(place, before, planes)
    planes = _where(jitter.applied, _contrast(planes, jitter.contrast), planes)
    for place in range(1, last + 1):
        after = tf.logical_and(jitter.applied, place > middle)
        planes = at(place, after, planes)
    return planes


def _where(chosen: tf.Tensor, planes: Planes, others: Planes) -> Planes:
    """Returns `planes`, clipped, for the chosen images, and `others` for the rest."""
    return [
        tf.where(_of(chosen), tf.clip_by_value(plane, 0.0, 1.0), other)
        for plane, other in zip(planes, others, strict=True)
    ]


def _clip(change: Callable[[Planes, tf.Tensor], Planes]) -> Callable[..., Planes]:
    def clipped(planes: Planes, factor: tf.Tensor) -> Planes:
        return [tf.clip_by_value(plane, 0.0, 1.0) for plane in change(planes, factor)]

    return clipped


_clipped = [_clip(change) for change in CHANGES.values()]


def _sorted(numbers: tf.Tensor) -> tf.Tensor:
    """Returns the rank of each number in its row, int32 [n, k].

    It counts smaller numbers: on an accelerator a sort would be a separate kernel.
    """
    place = tf.range(numbers.shape[1])
    own, other = numbers[:, :, tf.newaxis], numbers[:, tf.newaxis]
    tie = tf.logical_and(other == own, place < place[:, tf.newaxis])
    earlier = tf.logical_or(other < own, tie)
    rank = tf.reduce_sum(tf.cast(earlier, tf.int32), axis=2)
    found = tf.cast(rank[:, tf.newaxis] == place[:, tf.newaxis], tf.int32)
    return tf.reduce_sum(found * place, axis=2)


def _of(amount: tf.Tensor) -> tf.Tensor:
    """Reshapes numbers per image, [n], to broadcast with planes."""
    return amount[:, tf.newaxis, tf.newaxis]


def _planes(images: tf.Tensor) -> Planes:
    # The bytes are separated, which are a quarter of the size of floats.
    return [
        tf.image.convert_image_dtype(images[..., channel], tf.float32)
        for channel in range(3)
    ]


def _extremes(planes: Planes) -> tuple[tf.Tensor, tf.Tensor]:
    red, green, blue = planes
    return (
        tf.maximum(tf.maximum(red, green), blue),
        tf.minimum(tf.minimum(red, green), blue),
    )
