"""An encoder small enough to train in a test."""

from __future__ import annotations

import tensorflow as tf

from sslkit.api import Backbone
from sslkit.nn.batch_norm import BatchNorm
from sslkit.nn.convolution import ConvNorm
from sslkit.nn.precision import full_dtype


class TinyBackbone(Backbone):
    """One strided convolution with batch normalisation, then the mean over pixels.

    It has what laws check: a kernel, normalisation that must be equal on all replicas,
    and moving statistics; and only a few hundred weights.

    Args:
        width: channels, and so the width of the features.
        name: the layer's name.
    """

    def __init__(self, *, width: int = 8, name: str = "tiny") -> None:
        """Makes the layer; see the class."""
        super().__init__(name=name)
        self.width = width
        self.layer = ConvNorm(width, 3, stride=2, norm=BatchNorm, name="layer")

    @property
    def feature_dim(self) -> int:
        """Width of the feature vector."""
        return self.width

    def build(self, shape: tuple[int | None, ...]) -> None:
        """Creates all variables."""
        self.layer.build(shape)

    def call(self, images: tf.Tensor, *, training: bool) -> tf.Tensor:
        """Encodes [n, size, size, 3] -> float32 [n, feature_dim]."""
        x = self.layer(images, training=training)
        return tf.reduce_mean(tf.cast(x, full_dtype(self)), [1, 2])
