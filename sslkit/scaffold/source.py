"""The new_thing source."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from sslkit.api import PositiveInt, Source, UserError, checked

_SEEDS = {"train": 0, "test": 1}


class NewThing(Source):
    """Images of noise around the colour of their class.

    To be changed: where images come from. A keyword that is a path must be called
    `path`, or end in `_path` or `_dir`: runs save these as absolute paths.

    Args:
        split: `train` or `test`.
        images: the number of images.

    Raises:
        UserError: if the split does not exist.
    """

    @checked
    def __init__(self, *, split: str, images: PositiveInt = 256) -> None:
        """Opens a split; see the class."""
        if split not in _SEEDS:
            raise UserError(
                f"new_thing has no split '{split}'; it has {', '.join(_SEEDS)}"
            )
        draw = np.random.default_rng(_SEEDS[split])
        labels = np.arange(images) % 2
        noise = draw.integers(0, 128, [images, 32, 32, 3])
        noise[..., 0] += 127 * labels[:, None, None]
        self.name = f"new_thing/{split}"
        self.size = images
        self.classes = 2
        self.label_names = ("dark", "red")
        with tf.device("CPU:0"):
            self._images = tf.constant(noise, tf.uint8)
            self._labels = tf.constant(labels, tf.int32)

    def example(self, index: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Reads one example, in graph operations: `index` has no value here.

        Args:
            index: int64 [], in [0, size).

        Returns:
            image, uint8 [height, width, 3]; label, int32 [], -1 without a label.
        """
        return tf.gather(self._images, index), tf.gather(self._labels, index)

    def labels(self) -> np.ndarray:
        """Returns all labels, int32 [size]; None if the examples must be read first."""
        return self._labels.numpy()
