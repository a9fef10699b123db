"""RandAugment: random operations of one common magnitude (arXiv:1909.13719)."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from sslkit.errors import UserError
from sslkit.views import randaugment_operations as ops
from sslkit.views.grouping import by_kind

Operation = Callable[[tf.Tensor, tf.Tensor, tf.Tensor], tf.Tensor]
"""(images uint8 [n, h, w, 3], sign float32 [n], centre int32 [n, 2]) -> uint8 [n, h, w,
3]; most use the images alone."""

NAMES = (
    "AutoContrast",
    "Equalize",
    "Invert",
    "Rotate",
    "Posterize",
    "Solarize",
    "Color",
    "Contrast",
    "Brightness",
    "Sharpness",
    "ShearX",
    "ShearY",
    "TranslateX",
    "TranslateY",
    "Cutout",
    "SolarizeAdd",
)
"""The operations, in the published order."""

NUMBERS = 4
"""Uniform numbers that one layer takes of one image."""

_HIGHEST = 10


class Draw(NamedTuple):
    """The random numbers of a batch of images, a column for each layer."""

    operation: tf.Tensor
    """int32 [n, layers], places in `NAMES`."""
    sign: tf.Tensor
    """float32 [n, layers], -1 or 1: which way to rotate, shear or translate."""
    centre: tf.Tensor
    """float32 [n, layers, 2] in [0, 1): where to cut, as shares of height and width."""


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

    def operations(self, height: int, width: int) -> Mapping[str, Operation]:
        """Returns the sixteen operations at this magnitude, in the published order.

        Args:
            height: of the images, in pixels.
            width: of the images, in pixels.
        """
        level = self.magnitude / _HIGHEST
        factor = level * 1.8 + 0.1
        slope = level * 0.3
        pixels = level * self.translate

        def moving(places: Callable[..., np.ndarray]) -> Operation:
            both = np.stack([places(-1), places(1)])

            def move(x: tf.Tensor, sign: tf.Tensor, centre: tf.Tensor) -> tf.Tensor:
                side = tf.cast(sign > 0, tf.int32)
                return ops.look_up(x, tf.gather(tf.constant(both), side))

            return move

        shape = height, width
        found: dict[str, Operation] = {
            "AutoContrast": lambda x, sign, centre: ops.auto_contrast(x),
            "Equalize": lambda x, sign, centre: ops.equalize(x),
            "Invert": lambda x, sign, centre: ops.invert(x),
            "Rotate": moving(
                lambda sign: ops.rotation(*shape, degrees=sign * level * 30)
            ),
            "Posterize": lambda x, sign, centre: ops.posterize(x, bits=int(level * 4)),
            "Solarize": lambda x, sign, centre: ops.solarize(
                x, threshold=int(level * 256)
            ),
            "Color": lambda x, sign, centre: ops.color(x, factor=factor),
            "Contrast": lambda x, sign, centre: ops.contrast(x, factor=factor),
            "Brightness": lambda x, sign, centre: ops.brightness(x, factor=factor),
            "Sharpness": lambda x, sign, centre: ops.sharpness(x, factor=factor),
            "ShearX": moving(lambda sign: ops.shear(*shape, x=sign * slope)),
            "ShearY": moving(lambda sign: ops.shear(*shape, y=sign * slope)),
            "TranslateX": moving(lambda sign: ops.translation(*shape, x=sign * pixels)),
            "TranslateY": moving(lambda sign: ops.translation(*shape, y=sign * pixels)),
            "Cutout": lambda x, sign, centre: ops.cutout(
                x, centre=centre, half=int(level * self.cutout)
            ),
            "SolarizeAdd": lambda x, sign, centre: ops.solarize_add(
                x, addition=int(level * 110)
            ),
        }
        return {name: found[name] for name in NAMES}

    def draw(self, numbers: tf.Tensor) -> Draw:
        """Turns uniform numbers into what to apply.

        Args:
            numbers: float32 [n, NUMBERS * layers] in [0, 1).
        """
        numbers = tf.reshape(numbers, [-1, self.layers, NUMBERS])
        return Draw(
            operation=tf.cast(numbers[..., 0] * len(NAMES), tf.int32),
            sign=tf.where(numbers[..., 1] < 0.5, -1.0, 1.0),
            centre=numbers[..., 2:],
        )

    def __call__(self, images: tf.Tensor, draw: Draw, *, tile: int = 1) -> tf.Tensor:
        """Distorts images, those with the same operation together.

        Args:
            images: uint8 [n, h, w, 3], static shape.
            draw: what to apply to each.
            tile: see `sslkit.views.grouping.by_kind`.

        Returns:
            uint8 [n, h, w, 3].
        """
        if not self.layers:
            return images
        _, height, width, _ = images.shape
        operations = self.operations(height, width).values()
        centres = tf.cast(draw.centre * [float(height), float(width)], tf.int32)

        def treat(operation: tf.Tensor, rows: tuple[tf.Tensor, ...]) -> tf.Tensor:
            branches = [functools.partial(apply, *rows) for apply in operations]
            return tf.switch_case(operation, branches)

        def layer(number: tf.Tensor, images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            out = by_kind(
                tf.gather(draw.operation, number, axis=1),
                len(NAMES),
                treat,
                (
                    images,
                    tf.gather(draw.sign, number, axis=1),
                    tf.gather(centres, number, axis=1),
                ),
                tile=tile,
                dtype=tf.uint8,
            )
            return number + 1, out

        # A loop, so that the sixteen operations are compiled once for all layers.
        _, images = tf.while_loop(
            lambda number, _: number < self.layers,
            layer,
            (tf.constant(0), images),
            maximum_iterations=self.layers,
        )
        return images
