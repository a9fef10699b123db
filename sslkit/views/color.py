"""Colour: the jitter of brightness, contrast, saturation and hue, and grayscale.

Chen et al. 2020, appendix A, with the multiplicative brightness of the released code.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import NamedTuple

import tensorflow as tf

from sslkit.views import draws

_PROBABILITY = 0.8

CHANGES: Mapping[str, Callable[[tf.Tensor, tf.Tensor], tf.Tensor]] = {
    "brightness": tf.multiply,
    "contrast": tf.image.adjust_contrast,
    "saturation": tf.image.adjust_saturation,
    "hue": tf.image.adjust_hue,
}
"""What a jitter does: name -> (image float32 [h, w, 3], amount float32 []) -> image."""


class Jitter(NamedTuple):
    """The random numbers of one colour jitter."""

    order: tf.Tensor
    """int32 [4], a permutation of places in `CHANGES`."""
    brightness: tf.Tensor
    """float32 [], a factor."""
    contrast: tf.Tensor
    """float32 [], a factor of the distance to the channel's mean."""
    saturation: tf.Tensor
    """float32 [], a factor."""
    hue: tf.Tensor
    """float32 [], a shift, in turns of the colour circle."""


def draw_jitter(seed: tf.Tensor, *, strength: float) -> Jitter:
    """Draws the numbers of one jitter.

    Args:
        seed: int32 [2].
        strength: 1 lets the factors range over 1 +- 0.8 and the hue over +- 0.2.

    Returns:
        Independent uniform draws; a random order.
    """
    numbers = draws.uniform_vector(seed, 8)
    low, high = max(0.0, 1 - 0.8 * strength), 1 + 0.8 * strength
    factors = low + (high - low) * numbers[:3]
    return Jitter(
        order=tf.argsort(numbers[4:]),
        brightness=factors[0],
        contrast=factors[1],
        saturation=factors[2],
        hue=(2 * numbers[3] - 1) * 0.2 * strength,
    )


def apply_jitter(image: tf.Tensor, jitter: Jitter) -> tf.Tensor:
    """Changes the colours of an image, one property after the other.

    Args:
        image: float32 [h, w, 3].
        jitter: what to change, and in which order.

    Returns:
        float32 [h, w, 3], clipped to [0, 1] after each change.
    """
    branches = list(zip(CHANGES.values(), jitter[1:], strict=True))
    for place in range(len(branches)):
        image = tf.switch_case(
            jitter.order[place],
            [functools.partial(change, image, amount) for change, amount in branches],
        )
        image = tf.clip_by_value(image, 0.0, 1.0)
    return image


def random_jitter(image: tf.Tensor, seed: tf.Tensor, *, strength: float) -> tf.Tensor:
    """Jitters the colours of four images in five and leaves the fifth as it is.

    Args:
        image: float32 [h, w, 3].
        seed: int32 [2].
        strength: see `draw_jitter`; 0 changes nothing.

    Returns:
        float32 [h, w, 3]; in [0, 1] where the image was.
    """
    if strength == 0:
        return image
    coin_seed, jitter_seed = draws.split(seed, 2)
    return tf.cond(
        draws.uniform_vector(coin_seed, 1)[0] < _PROBABILITY,
        lambda: apply_jitter(image, draw_jitter(jitter_seed, strength=strength)),
        lambda: image,
    )


def grayscale(image: tf.Tensor) -> tf.Tensor:
    """Returns float32 [h, w, 3] with the luma of the image in all three channels."""
    return tf.image.grayscale_to_rgb(tf.image.rgb_to_grayscale(image))
