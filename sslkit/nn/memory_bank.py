"""A first-in, first-out bank of embeddings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from sslkit import replica
from sslkit.arguments import PositiveInt, checked

Initializer = Callable[[Sequence[int], str], tf.Tensor]


class Remembered(NamedTuple):
    """The contents of a bank."""

    rows: tf.Tensor
    """float32 [batches * global batch, dim]; the newest first."""
    labels: tf.Tensor | None
    """int32 [batches * global batch], -1 if unknown or not written; None from a bank
    without labels."""
    written: tf.Tensor | None
    """int32 [], rows in use; None if all of them are."""


class MemoryBank(layers.Layer):
    """Keeps the embeddings of the last batches as candidates (He et al. 2020).

    Each call in training writes its rows at the front and drops as many at the end, as
    published by Huynh et al. 2022: the newest rows come first.

    Args:
        batches: its length, in global batches of images.
        views: views of each image that a call writes; at most `batches`.
        lazy: whether rows that were not written yet are left out. If not, they are
            candidates like other rows, as published.
        labels: whether the images' labels are kept beside the rows.
        start: the initial rows: zeros, as in the code of Huynh et al.; or random
            directions of length 1, as in MoCo's code.
        name: the layer's name.
    """

    @checked
    def __init__(
        self,
        *,
        batches: PositiveInt,
        views: PositiveInt,
        lazy: bool = False,
        labels: bool = False,
        start: Literal["zeros", "random"] = "zeros",
        name: str,
    ):
        """Keeps the options; see the class."""
        # Rows are kept and compared in float32, whatever the policy.
        super().__init__(name=name, autocast=False)
        if views > batches:
            raise ValueError(f"{views} views of a batch overrun {batches} batches")
        self._batches = batches
        self._views = views
        self._lazy = lazy
        self._labelled = labels
        self._start = start

    def build(
        self,
        embeddings_shape: tuple[int, int],
        labels_shape: tuple[int] | None = None,
    ) -> None:
        """Makes the rows when the global batch is known."""
        written, dim = embeddings_shape
        length = self._batches * written // self._views
        first = _directions if self._start == "random" else _filled(0)
        self.rows = self._state("rows", (length, dim), self.variable_dtype, first)
        if self._labelled:
            self.labels = self._state("labels", (length,), "int32", _filled(-1))
        if self._lazy:
            self.written = self._state("written", (), "int32", _filled(0))

    def _state(
        self, name: str, shape: tuple[int, ...], dtype: str, start: Initializer
    ) -> keras.Variable:
        return self.add_weight(
            name=name,
            shape=shape,
            dtype=dtype,
            initializer=start,
            trainable=False,
            autocast=False,
            aggregation="only_first_replica",
        )

    def call(
        self, embeddings: tf.Tensor, labels: tf.Tensor | None = None
    ) -> Remembered:
        """Writes embeddings and returns the bank's contents, with them.

        Args:
            embeddings: float32 [views * global batch, dim], equal on all replicas.
            labels: int32 [views * global batch], of the images, equal on all replicas;
                for a bank with labels.
        """
        length, new = self.rows.shape[0], embeddings.shape[0]
        variables = [self.rows]
        values = [tf.concat([embeddings, self.rows[: length - new]], axis=0)]
        if self._labelled:
            variables.append(self.labels)
            values.append(tf.concat([labels, self.labels[: length - new]], axis=0))
        if self._lazy:
            variables.append(self.written)
            values.append(tf.minimum(self.written + new, length))
        replica.assign(variables, values)
        kept = dict(zip((v.name for v in variables), values, strict=True))
        return Remembered(kept["rows"], kept.get("labels"), kept.get("written"))

    def health(self, *, step: int) -> dict[str, float]:
        """Measures the health of the bank; called eagerly, outside replica context.

        Args:
            step: updates done.

        Returns:
            `bank_filled`, the share of its rows that were written, in [0, 1];
            `bank_age`, how many updates ago the oldest of them was written; and
            `bank_sameness`, the length of the mean of their directions: 1 if all are
            the same, near 0 if they fill the sphere.
        """
        rows = self.rows.numpy().astype(np.float64)
        lengths = np.linalg.norm(rows, axis=1)
        span = self._batches / self._views
        filled = float(np.mean(lengths > 0))
        if self._lazy:
            filled = float(self.written.numpy()) / len(rows)
        elif self._start == "random":
            filled = min(1.0, step / span)
        units = rows[lengths > 0] / lengths[lengths > 0, None]
        found = {"bank_filled": filled, "bank_age": span * filled}
        if len(units):
            found["bank_sameness"] = float(np.linalg.norm(units.mean(axis=0)))
        return found


def _filled(value: int) -> Initializer:
    return lambda shape, dtype: tf.fill(shape, tf.constant(value, dtype))


def _directions(shape: Sequence[int], dtype: str) -> tf.Tensor:
    drawn = keras.initializers.RandomNormal(stddev=1.0)(shape, dtype)
    return tf.math.l2_normalize(drawn, axis=1)
