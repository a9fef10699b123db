"""The common base of sources that keep decoded images."""

from __future__ import annotations

import abc
import itertools
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from sslkit.errors import UserError, first_line
from sslkit.source import Source

__all__ = ["Decoded", "Table", "decode_all"]


class Table(NamedTuple):
    """Shapes and labels of images whose pixels are stored one after the other."""

    shapes: np.ndarray
    """int32 [n, 3]; height, width, 3."""
    labels: np.ndarray
    """int32 [n]."""
    read: np.ndarray
    """bool [n]; False if the image cannot be read and is replaced by a black pixel."""


class Decoded(Source):
    """A source whose images are decoded already.

    Indices, order and views are those of the source from which it was made, so a run
    may be resumed with or without it.
    """

    def __init__(self, source: Source, table: Table) -> None:
        """Keeps the table.

        Args:
            source: the source of the images.
            table: of all its examples.
        """
        self.name = source.name
        self.size = source.size
        self.classes = source.classes
        self.label_names = source.label_names
        self.on_error = source.on_error
        self._source = source
        ends = np.cumsum(table.shapes.prod(axis=1, dtype=np.int64))
        with tf.device("CPU:0"):
            self._shapes = tf.constant(table.shapes)
            self._starts = tf.constant(np.concatenate([[0], ends[:-1]]))
            self._labels = tf.constant(table.labels, tf.int32)
            self._read = tf.constant(table.read)
            self._next = tf.constant(_next_read(table.read))

    def labels(self) -> np.ndarray:
        """Returns the labels of all images; see `Source.labels`."""
        return self._labels.numpy()

    @abc.abstractmethod
    def pixels(self) -> tf.Tensor:
        """Returns the pixels of all images, uint8 [bytes], in graph operations."""

    def example(self, index: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Looks one image up; see `Source.example`."""
        shape = tf.gather(self._shapes, index)
        own = tf.slice(
            self.pixels(),
            [tf.gather(self._starts, index)],
            [tf.cast(tf.reduce_prod(shape), tf.int64)],
        )
        image = tf.ensure_shape(tf.reshape(own, shape), [None, None, 3])
        return image, tf.gather(self._labels, index)

    def attempt(self, index: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Returns one image; see `Source.attempt`."""
        return *self.example(index), tf.gather(self._read, index)

    def search(self, index: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Returns one image; see `Source.search`."""
        place = tf.gather(self._next, index)
        return *self.example(place), (place - index) % self.size

    def note(self, index: tf.Tensor, missed: tf.Tensor) -> tf.Operation:
        """Does nothing: unreadable images are known since the images were decoded."""
        del index, missed
        return tf.no_op()

    def skipped(self, *, limit: int = 20) -> list[str]:
        """Returns what could not be read; see `Source.skipped`."""
        return self._source.skipped(limit=limit)

    def summary(self) -> str:
        """Returns how the data was understood."""
        return self._source.summary()

    def record(self) -> Mapping[str, Any]:
        """Returns facts by which these examples are told from others."""
        return self._source.record()

    def why_unlabelled(self) -> str:
        """Returns why there are no labels."""
        return self._source.why_unlabelled()

    def file(self, index: int) -> str | None:
        """Returns the path of the file that is an example."""
        return self._source.file(index)

    def describe(self, index: int) -> str:
        """Returns the place from which an example comes."""
        return self._source.describe(index)


def decode_all(source: Source) -> Iterator[tuple[np.ndarray, int, bool]]:
    """Reads a source once, in parallel and in order.

    Args:
        source: what to read.

    Yields:
        For each example the image, uint8 [height, width, 3], its label, and whether it
        could be read; if not, a black pixel and -1.

    Raises:
        UserError: if no example can be read; or, if its `on_error` is `raise`, if one
            cannot be read.
    """
    elements = tf.data.Dataset.range(source.size).map(
        source.attempt, num_parallel_calls=tf.data.AUTOTUNE
    )
    any_read = False
    try:
        for image, label, ok in elements.as_numpy_iterator():
            any_read |= bool(ok)
            yield image, int(label), bool(ok)
    except tf.errors.OpError as error:
        broken = source.diagnose(limit=1) or [first_line(error)]
        raise UserError(f"cannot read {broken[0]}; repair or remove it") from error
    if not any_read:
        raise UserError("\n".join(source.skipped(limit=1)))


def _next_read(read: np.ndarray) -> np.ndarray:
    """Returns for each index the first one from there on, cyclically, that was read."""
    size = len(read)
    following, found = np.zeros(size, np.int64), 0
    for place in itertools.chain(reversed(range(size)), reversed(range(size))):
        found = place if read[place] else found
        following[place] = found
    return following
