"""A source whose decoded images stay in memory, for small data."""

from __future__ import annotations

import itertools

import numpy as np
import tensorflow as tf

from sslkit.data.sources import Source
from sslkit.errors import UserError

__all__ = ["InMemory"]

LARGEST = 8 * 2**30
"""Bytes of decoded images that are kept at most."""


class InMemory(Source):
    """Reads and decodes a whole source once and keeps its pixels.

    Indices, order and views are those of the source, so a run may be resumed with or
    without it.
    """

    def __init__(self, source: Source) -> None:
        """Reads all examples.

        Args:
            source: what to keep.

        Raises:
            UserError: if the images take more than `LARGEST` bytes, if none can be
                read, or, where its `on_error` is `raise`, if one cannot.
        """
        self.name = source.name
        self.size = source.size
        self.classes = source.classes
        self.label_names = source.label_names
        self.on_error = source.on_error
        self._source = source
        images, labels, read = self._read_all()
        shapes = np.array([image.shape for image in images], np.int32)
        ends = np.cumsum(shapes.prod(axis=1, dtype=np.int64))
        with tf.device("CPU:0"):
            self._pixels = tf.constant(np.concatenate([i.ravel() for i in images]))
            self._shapes = tf.constant(shapes)
            self._starts = tf.constant(np.concatenate([[0], ends[:-1]]))
            self._labels = tf.constant(labels, tf.int32)
            self._read = tf.constant(read)
            self._next = tf.constant(_next_read(np.array(read)))

    def example(self, index: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Looks one image up; see `Source.example`."""
        shape = tf.gather(self._shapes, index)
        pixels = tf.slice(
            self._pixels,
            [tf.gather(self._starts, index)],
            [tf.cast(tf.reduce_prod(shape), tf.int64)],
        )
        image = tf.ensure_shape(tf.reshape(pixels, shape), [None, None, 3])
        return image, tf.gather(self._labels, index)

    def attempt(self, index: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Looks one image up; see `Source.attempt`."""
        return *self.example(index), tf.gather(self._read, index)

    def example_or_next(self, index: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Looks one image up; see `Source.example_or_next`."""
        return self.example(tf.gather(self._next, index))

    def skipped(self, *, limit: int = 20) -> list[str]:
        """Returns what could not be read; see `Source.skipped`."""
        return self._source.skipped(limit=limit)

    def describe(self, index: int) -> str:
        """Returns where an example comes from."""
        return self._source.describe(index)

    def _read_all(self) -> tuple[list[np.ndarray], list[int], list[bool]]:
        images, labels, read, total = [], [], [], 0
        elements = tf.data.Dataset.range(self.size).map(
            self._source.attempt, num_parallel_calls=tf.data.AUTOTUNE
        )
        try:
            for image, label, ok in elements.as_numpy_iterator():
                total += image.nbytes
                if total > LARGEST:
                    raise UserError(
                        f"the images of {self.name} take more than "
                        f"{LARGEST / 2**30:g} GiB decoded; set data.cache = None"
                    )
                images.append(image)
                labels.append(int(label))
                read.append(bool(ok))
        except tf.errors.OpError as error:
            broken = self._source.diagnose(limit=1) or [error.message.splitlines()[0]]
            raise UserError(f"cannot read {broken[0]}; mend or remove it") from error
        if not any(read):
            raise UserError("\n".join(self._source.skipped(limit=1)))
        return images, labels, read


def _next_read(read: np.ndarray) -> np.ndarray:
    """Returns, for each place, the first from it on that was read, round the end."""
    size = len(read)
    following, found = np.zeros(size, np.int64), 0
    for place in itertools.chain(reversed(range(size)), reversed(range(size))):
        found = place if read[place] else found
        following[place] = found
    return following
