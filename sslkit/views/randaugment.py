"""RandAugment: random operations of one common magnitude (arXiv:1909.13719)."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import NamedTuple

import tensorflow as tf

from sslkit.errors import UserError
from sslkit.views import draws
from sslkit.views import randaugment_operations as ops

Operation = Callable[[tf.Tensor, tf.Tensor, tf.Tensor], tf.Tensor]
"""(image uint8 [h, w, 3], sign float32 [], centre int32 [2]) -> uint8 [h, w, 3]; most
use the image alone."""

_HIGHEST = 10


class Draw(NamedTuple):
    """The random numbers of one image, a row for each layer."""

    operation: tf.Tensor
    """int32 [layers], places in `RandAugment.operations`."""
    sign: tf.Tensor
    """float32 [layers], -1 or 1: which way to rotate, shear or translate."""
    centre: tf.Tensor
    """float32 [layers, 2] in [0, 1): where to cut, as shares of height and width."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class RandAugment:
    """Applies `layers` operations, each drawn from sixteen with replacement.

    Raises:
        UserError: if a number is out of its range.
    """

    layers: int = 2
    """How many operations an image."""
    magnitude: float = 7
    """Common strength, 0 to 10."""
    translate: float = 100
    """Shift in pixels at magnitude 10; the published number is for 224-pixel views."""
    cutout: float = 40
    """Half the side of the cut square in pixels at magnitude 10; likewise."""

    def __post_init__(self) -> None:
        """Refuses numbers out of their range."""
        if not 0 <= self.magnitude <= _HIGHEST:
            raise UserError(
                f"RandAugment's magnitude is {self.magnitude}; it runs from 0 to 10"
            )
        for name in ("layers", "translate", "cutout"):
            if getattr(self, name) < 0:
                raise UserError(
                    f"RandAugment's {name} is {getattr(self, name)}; give 0 or more"
                )

    @property
    def operations(self) -> Mapping[str, Operation]:
        """The sixteen operations at this magnitude, in the published order."""
        level = self.magnitude / _HIGHEST
        factor = level * 1.8 + 0.1
        slope = level * 0.3
        pixels = level * self.translate
        return {
            "AutoContrast": lambda x, sign, centre: ops.auto_contrast(x),
            "Equalize": lambda x, sign, centre: ops.equalize(x),
            "Invert": lambda x, sign, centre: ops.invert(x),
            "Rotate": lambda x, sign, centre: ops.rotate(x, degrees=sign * level * 30),
            "Posterize": lambda x, sign, centre: ops.posterize(x, bits=int(level * 4)),
            "Solarize": lambda x, sign, centre: ops.solarize(
                x, threshold=int(level * 256)
            ),
            "Color": lambda x, sign, centre: ops.color(x, factor=factor),
            "Contrast": lambda x, sign, centre: ops.contrast(x, factor=factor),
            "Brightness": lambda x, sign, centre: ops.brightness(x, factor=factor),
            "Sharpness": lambda x, sign, centre: ops.sharpness(x, factor=factor),
            "ShearX": lambda x, sign, centre: ops.shear_x(x, slope=sign * slope),
            "ShearY": lambda x, sign, centre: ops.shear_y(x, slope=sign * slope),
            "TranslateX": lambda x, sign, centre: ops.translate_x(
                x, pixels=sign * pixels
            ),
            "TranslateY": lambda x, sign, centre: ops.translate_y(
                x, pixels=sign * pixels
            ),
            "Cutout": lambda x, sign, centre: ops.cutout(
                x, centre=centre, half=int(level * self.cutout)
            ),
            "SolarizeAdd": lambda x, sign, centre: ops.solarize_add(
                x, addition=int(level * 110)
            ),
        }

    def draw(self, seed: tf.Tensor) -> Draw:
        """Draws what to apply to one image; `seed` is int32 [2]."""
        numbers = draws.uniform_vector(seed, 4 * self.layers)
        numbers = tf.reshape(numbers, [self.layers, 4])
        return Draw(
            operation=tf.cast(numbers[:, 0] * len(self.operations), tf.int32),
            sign=tf.where(numbers[:, 1] < 0.5, -1.0, 1.0),
            centre=numbers[:, 2:],
        )

    def __call__(self, image: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """Distorts one image.

        Args:
            image: uint8 [h, w, 3].
            seed: int32 [2].

        Returns:
            uint8 [h, w, 3].
        """
        draw = self.draw(seed)
        sides = tf.cast(tf.shape(image)[:2], tf.float32)
        centres = tf.cast(draw.centre * sides, tf.int32)
        for layer in range(self.layers):
            arguments = image, draw.sign[layer], centres[layer]
            image = tf.switch_case(
                draw.operation[layer],
                [
                    functools.partial(apply, *arguments)
                    for apply in self.operations.values()
                ],
            )
        return image
