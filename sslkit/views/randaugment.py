"""RandAugment: random operations with a common magnitude (arXiv:1909.13719)."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import NamedTuple

import tensorflow as tf

from sslkit.errors import UserError
from sslkit.views import randaugment_operations as ops
from sslkit.views.histogram import histogram
from sslkit.views.rows import row_by_row

Operation = Callable[[tf.Tensor, tf.Tensor, tf.Tensor], tf.Tensor]
"""(images uint8 [n, h, w, 3], sign float32 [n], centre int32 [n, 2]) -> uint8 [n, h, w,
3]; most use only the images."""

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

_OF_A_VALUE = frozenset(
    ("Invert", "Posterize", "Solarize", "Contrast", "Brightness", "SolarizeAdd")
)
"""The operations that map values, independent of the place of the pixel."""

NUMBERS = 4
"""Number of uniform random numbers for one layer of one image."""

_HIGHEST = 10


class Draw(NamedTuple):
    """The random choices for a batch of images, one column per layer."""

    operation: tf.Tensor
    """int32 [n, layers], indices into `NAMES`."""
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
    """Operations per image."""
    magnitude: float = 7
    """Common strength, 0 to 10."""
    translate: float = 100
    """Shift in pixels at magnitude 10; the published number is for 224-pixel views."""
    cutout: float = 40
    """Half the side of the cut square in pixels at magnitude 10, likewise."""

    def __post_init__(self) -> None:
        """Refuses numbers out of their range."""
        if not 0 <= self.magnitude <= _HIGHEST:
            raise UserError(
                f"RandAugment's magnitude is {self.magnitude}; give a number from 0 to "
                "10"
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

        found: dict[str, Operation] = {
            "AutoContrast": lambda x, sign, centre: ops.auto_contrast(x),
            "Equalize": lambda x, sign, centre: ops.equalize(x),
            "Invert": lambda x, sign, centre: ops.invert(x),
            "Posterize": lambda x, sign, centre: ops.posterize(x, bits=int(level * 4)),
            "Solarize": lambda x, sign, centre: ops.solarize(
                x, threshold=int(level * 256)
            ),
            "Color": lambda x, sign, centre: ops.color(x, factor=factor),
            "Contrast": lambda x, sign, centre: ops.contrast(
                x, factor=factor, pixels=height * width
            ),
            "Brightness": lambda x, sign, centre: ops.brightness(x, factor=factor),
            "Sharpness": lambda x, sign, centre: ops.sharpness(x, factor=factor),
            "Cutout": lambda x, sign, centre: ops.cutout(
                x, centre=centre, half=int(level * self.cutout)
            ),
            "SolarizeAdd": lambda x, sign, centre: ops.solarize_add(
                x, addition=int(level * 110)
            ),
        }
        for name, both in self.movements(height, width).items():
            found[name] = _moving(both)
        return {name: found[name] for name in NAMES}

    def movements(
        self, height: int, width: int
    ) -> Mapping[str, tuple[ops.Matrix, ops.Matrix]]:
        """Returns the matrices of the operations that move pixels, for both signs.

        Args:
            height: of the images, in pixels.
            width: of the images, in pixels.

        Returns:
            Name -> (matrix of sign -1, matrix of sign 1).
        """
        level = self.magnitude / _HIGHEST
        slope, pixels = level * 0.3, level * self.translate
        moving: dict[str, Callable[[int], ops.Matrix]] = {
            "Rotate": lambda sign: ops.rotation(
                height, width, degrees=sign * level * 30
            ),
            "ShearX": lambda sign: ops.shear(x=sign * slope),
            "ShearY": lambda sign: ops.shear(y=sign * slope),
            "TranslateX": lambda sign: ops.translation(x=sign * pixels),
            "TranslateY": lambda sign: ops.translation(y=sign * pixels),
        }
        return {name: (of(-1), of(1)) for name, of in moving.items()}

    def draw(self, numbers: tf.Tensor) -> Draw:
        """Chooses the operations by uniform random numbers.

        Args:
            numbers: float32 [n, NUMBERS * layers] in [0, 1).
        """
        numbers = tf.reshape(numbers, [-1, self.layers, NUMBERS])
        return Draw(
            operation=tf.cast(numbers[..., 0] * len(NAMES), tf.int32),
            sign=tf.where(numbers[..., 1] < 0.5, -1.0, 1.0),
            centre=numbers[..., 2:],
        )

    def __call__(
        self, images: tf.Tensor, draw: Draw, *, at_once: bool = False
    ) -> tf.Tensor:
        """Applies the operations to images.

        Args:
            images: uint8 [n, h, w, 3], static shape.
            draw: the operations for each image.
            at_once: whether to process the whole batch at once, which is best on an
                accelerator, or one image after the other, which is best on a CPU. The
                results are the same to the last bit.

        Returns:
            uint8 [n, h, w, 3].
        """
        if not self.layers:
            return images
        _, height, width, _ = images.shape
        centres = tf.cast(draw.centre * [float(height), float(width)], tf.int32)
        if at_once:
            for number in range(self.layers):
                images = self._layer(
                    images,
                    draw.operation[:, number],
                    draw.sign[:, number],
                    centres[:, number],
                )
            return images
        operations = self.operations(height, width).values()

        def treat(row: tuple[tf.Tensor, ...]) -> tf.Tensor:
            image, operation, sign, centre = row
            # A loop, so that the sixteen operations are compiled once for all layers.
            _, image = tf.while_loop(
                lambda number, _: number < self.layers,
                lambda number, image: (
                    number + 1,
                    tf.switch_case(
                        operation[0, number],
                        [
                            functools.partial(
                                apply, image, sign[:, number], centre[:, number]
                            )
                            for apply in operations
                        ],
                    ),
                ),
                (tf.constant(0), image),
                maximum_iterations=self.layers,
            )
            return image

        return row_by_row(
            treat, (images, draw.operation, draw.sign, centres), dtype=tf.uint8
        )

    def _layer(
        self,
        images: tf.Tensor,
        operation: tf.Tensor,
        sign: tf.Tensor,
        centre: tf.Tensor,
    ) -> tf.Tensor:
        """Applies one operation to each image, all at once.

        All operations that map values are one look-up in a table of 256 values per
        image; those that move pixels are one sampling; of the others, all are computed
        and one is selected.

        Args:
            images: uint8 [n, h, w, 3].
            operation: int32 [n], indices into `NAMES`.
            sign: float32 [n].
            centre: int32 [n, 2].
        """
        n, height, width, channels = images.shape
        operations = self.operations(height, width)
        moved = ops.move(images, self._matrices(height, width, operation, sign))
        tables = self._tables(images, operation)
        entries = tf.cast(moved, tf.int32) + 256 * tf.range(channels)
        out = tf.gather(
            tf.reshape(tables, [n, channels * 256]),
            tf.reshape(entries, [n, height * width * channels]),
            batch_dims=1,
        )
        out = tf.reshape(out, images.shape)
        for name in ("Color", "Sharpness", "Cutout"):
            chosen = operation == NAMES.index(name)
            out = tf.where(
                chosen[:, tf.newaxis, tf.newaxis, tf.newaxis],
                operations[name](images, sign, centre),
                out,
            )
        return out

    def _matrices(
        self, height: int, width: int, operation: tf.Tensor, sign: tf.Tensor
    ) -> tf.Tensor:
        """Returns the matrix that moves the pixels of each image, float32 [n, 6]."""
        moving = self.movements(height, width)
        still = (ops.STAYING, ops.STAYING)
        table = tf.constant([moving.get(name, still) for name in NAMES], tf.float32)
        place = 2 * operation + tf.cast(sign > 0, tf.int32)
        return tf.gather(tf.reshape(table, [2 * len(NAMES), 6]), place)

    def _tables(self, images: tf.Tensor, operation: tf.Tensor) -> tf.Tensor:
        """Returns the new value of each value of each channel, uint8 [n, 3, 256]."""
        _, height, width, _ = images.shape
        operations = self.operations(height, width)
        # An image that has each value once.
        values = tf.cast(tf.reshape(tf.range(256), [1, 16, 16, 1]), tf.uint8)
        none = tf.zeros([1])
        fixed = [
            operations[name](values, none, none) if name in _OF_A_VALUE else values
            for name in NAMES
        ]
        table = tf.gather(tf.reshape(tf.stack(fixed), [len(NAMES), 256]), operation)
        table = table[:, tf.newaxis]
        counts = histogram(images)
        low, high = (
            tf.cast(of(counts), tf.float32)[..., tf.newaxis]
            for of in (ops.darkest_of, ops.brightest_of)
        )
        found = {
            "AutoContrast": ops.stretched(tf.reshape(values, [256]), low, high),
            "Equalize": ops.equalization(counts, height * width),
        }
        for name, own in found.items():
            chosen = operation == NAMES.index(name)
            table = tf.where(chosen[:, tf.newaxis, tf.newaxis], own, table)
        return table


def _moving(both: tuple[ops.Matrix, ops.Matrix]) -> Operation:
    def move(x: tf.Tensor, sign: tf.Tensor, centre: tf.Tensor) -> tf.Tensor:
        side = tf.cast(sign > 0, tf.int32)
        return ops.move(x, tf.gather(tf.constant(both, tf.float32), side))

    return move
