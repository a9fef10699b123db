"""Prototypes: unit vectors with which embeddings are compared."""

from __future__ import annotations

import tensorflow as tf
from keras import layers

from sslkit import replica
from sslkit.arguments import PositiveInt, checked
from sslkit.nn.mlp_head import Start, kernel_start
from sslkit.nn.precision import full_dtype


class Prototypes(layers.Layer):
    """Scores of embeddings against prototypes of length 1: a dense layer without bias.

    There are two published ways to keep the length. DINO (Caron et al. 2021) divides by
    the length inside the layer, where the gradient includes it (weight normalisation,
    Salimans and Kingma 2016, with a factor that stays 1). SwAV (Caron et al. 2020)
    divides the weights themselves after each update, by `renormalise`.

    Args:
        count: number of prototypes.
        weight_norm: whether the layer divides by the length. If not, the objective
            calls `renormalise` in `after_build` and `after_update`.
        start: how the prototypes are initialised; see `Start`.
        name: the layer's name.
    """

    @checked
    def __init__(
        self,
        *,
        count: PositiveInt,
        weight_norm: bool,
        start: Start = "fan_in",
        name: str = "prototypes",
    ) -> None:
        """Keeps the options; see the class."""
        # With temperatures of 0.1 and less, scores need more than half precision.
        super().__init__(name=name, autocast=False)
        self.count = count
        self.weight_norm = weight_norm
        self._start = start

    def build(self, shape: tuple[int | None, ...]) -> None:
        """Creates the prototypes, one per column."""
        self.kernel = self.add_weight(
            name="kernel",
            shape=(shape[-1], self.count),
            dtype=full_dtype(self),
            initializer=kernel_start(self._start),
            autocast=False,
        )

    def call(self, embeddings: tf.Tensor) -> tf.Tensor:
        """Scores embeddings.

        Args:
            embeddings: float32 [n, dim]; if they have length 1, scores are cosines.

        Returns:
            float32 [n, count].
        """
        kernel = tf.convert_to_tensor(self.kernel)
        if self.weight_norm:
            kernel = tf.math.l2_normalize(kernel, axis=0)
        return tf.cast(embeddings, kernel.dtype) @ kernel

    def renormalise(self) -> None:
        """Divides each prototype by its length, as SwAV does after each update.

        It may be called in replica context. The layer must have been called before.
        """
        unit = tf.math.l2_normalize(tf.convert_to_tensor(self.kernel), axis=0)
        replica.assign([self.kernel], [unit])
