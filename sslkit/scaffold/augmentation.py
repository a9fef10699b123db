"""The new_thing augmentation."""

from __future__ import annotations

from collections.abc import Mapping

import tensorflow as tf

from sslkit.api import Augmentation, PositiveInt, Share, ViewGroup, checked
from sslkit.randomness import uniform, view_seed
from sslkit.views import mirror, random_crops


class NewThing(Augmentation):
    """Random crops, some of them mirrored and brighter or darker.

    To be changed: what is done to an image, and the paper that it is from.

    Args:
        size: side of the views, in pixels.
        views: views per image.
        light: the largest change of the brightness, as a share of the range.
    """

    @checked
    def __init__(
        self, *, size: PositiveInt = 32, views: PositiveInt = 2, light: Share = 0.2
    ) -> None:
        """Keeps the options; see the class."""
        self._size = size
        self._views = views
        self._light = light

    @property
    def groups(self) -> Mapping[str, ViewGroup]:
        """The groups of views that it makes."""
        return {"instance": ViewGroup(self._views, self._size)}

    def example(self, image: tf.Tensor, seed: tf.Tensor) -> dict[str, tf.Tensor]:
        """Makes the views of one image, in graph operations, on the host.

        Args:
            image: uint8 [height, width, 3], any size.
            seed: int32 [2]; all random numbers must be a function of it.

        Returns:
            Group -> uint8 [count, size, size, 3].
        """
        crops = random_crops(
            image,
            seed,
            count=self._views,
            size=self._size,
            area=(0.2, 1.0),
            kernel="modern",
        )
        # float32 [views, 2]: each view has its own seed.
        numbers = uniform(view_seed(seed, tf.range(self._views)), 2)
        mirrored = mirror(crops, numbers[:, 0] < 0.5)
        change = 255 * self._light * (2 * numbers[:, 1] - 1)
        light = tf.cast(mirrored, tf.float32) + change[:, None, None, None]
        return {"instance": tf.cast(tf.clip_by_value(light, 0.0, 255.0), tf.uint8)}
