"""A first-in, first-out bank of embeddings."""

from __future__ import annotations

import keras
import tensorflow as tf

from sslkit import replica


class MemoryBank(keras.layers.Layer):
    """Keeps the embeddings of the last batches as candidates (He et al. 2020).

    The bank starts as zeros. Each call writes its rows in front and drops as many at
    the end, in training as published by Huynh et al. 2022: the newest rows come first.

    Args:
        batches: its length, in global batches of images.
        views: views of each image that a call writes; at most `batches`.
        name: the layer's name.
    """

    def __init__(self, *, batches: int, views: int, name: str):
        """Keeps the options; see the class."""
        # Rows are kept, and compared, in float32 whatever the policy.
        super().__init__(name=name, autocast=False)
        if views > batches:
            raise ValueError(f"{views} views of a batch overrun {batches} batches")
        self._batches = batches
        self._views = views

    def build(self, input_shape: tuple[int, int]) -> None:
        """Makes the rows, once the global batch is known."""
        written, dim = input_shape
        self.rows = self.add_weight(
            name="rows",
            shape=(self._batches * written // self._views, dim),
            initializer="zeros",
            trainable=False,
            autocast=False,
        )

    def call(self, embeddings: tf.Tensor) -> tf.Tensor:
        """Writes embeddings and returns the bank that holds them.

        Args:
            embeddings: float32 [views * global batch, dim], equal on all replicas.

        Returns:
            float32 [batches * global batch, dim]; `embeddings` stand first.
        """
        kept = self.rows.shape[0] - embeddings.shape[0]
        rows = tf.concat([embeddings, self.rows[:kept]], axis=0)
        replica.assign([self.rows], [rows])
        return rows
