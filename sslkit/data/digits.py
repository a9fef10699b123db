"""The demonstration data: handwritten digits that are part of scikit-learn."""

from __future__ import annotations

import importlib.util
import os

import numpy as np
import tensorflow as tf

from sslkit.arguments import checked
from sslkit.errors import UserError
from sslkit.source import Source

__all__ = ["Digits"]

_TEST_IMAGES_A_CLASS = 36


class Digits(Source):
    """1,797 grey 8x8 digits in ten classes (Alpaydin and Kaynak 1998).

    The split is fixed. `test` is the last 36 images of each class in file order (360),
    `train` the 1,437 before them. The file is sorted by writer, so most test digits are
    by writers who are not in the training split.

    Args:
        split: `train` or `test`.

    Raises:
        UserError: if there is no such split.
    """

    @checked
    def __init__(self, *, split: str) -> None:
        """Loads a split into memory; see the class."""
        if split not in ("train", "test"):
            raise UserError(f"digits has no split '{split}'; it has train and test")
        images, target = _read()
        rows = _rows(target, split)
        pixels = np.round(images[rows] * (255 / 16)).astype(np.uint8)
        self.name = f"digits/{split}"
        self.size = len(rows)
        self.classes = 10
        self.label_names = tuple("0123456789")
        with tf.device("CPU:0"):
            self._images = tf.constant(pixels)
            self._labels = tf.constant(target[rows], tf.int32)

    def labels(self) -> np.ndarray:
        """Returns the digits; see `Source.labels`."""
        return self._labels.numpy()

    def example(self, index: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns one digit; see `Source.example`."""
        grey = tf.gather(self._images, index)
        return tf.repeat(grey[..., tf.newaxis], 3, axis=-1), tf.gather(
            self._labels, index
        )


def _read() -> tuple[np.ndarray, np.ndarray]:
    """Returns all digits in file order: float64 [n, 8, 8] in [0, 16], and int64 [n]."""
    found = importlib.util.find_spec("sklearn")
    for folder in (found and found.submodule_search_locations) or ():
        path = os.path.join(folder, "datasets", "data", "digits.csv.gz")
        if os.path.exists(path):
            # Importing scikit-learn takes a second, and reading its file a hundredth.
            table = np.loadtxt(path, delimiter=",")
            return table[:, :-1].reshape(-1, 8, 8), table[:, -1].astype(np.int64)
    from sklearn.datasets import load_digits

    bunch = load_digits()
    return bunch.images, bunch.target


def _rows(target: np.ndarray, split: str) -> np.ndarray:
    held_out = np.zeros(len(target), bool)
    for digit in range(10):
        held_out[np.flatnonzero(target == digit)[-_TEST_IMAGES_A_CLASS:]] = True
    return np.flatnonzero(held_out if split == "test" else ~held_out)
