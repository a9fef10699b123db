"""A small convolutional network for small images and quick runs."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

from sslkit.api import Backbone, PositiveInt, checked
from sslkit.errors import UserError
from sslkit.nn.batch_norm import BatchNorm
from sslkit.nn.convolution import ConvNorm
from sslkit.nn.precision import full_dtype


class ConvNet(Backbone):
    """Stages of two 3x3 convolutions, then the mean over pixels.

    Each convolution is followed by batch normalisation over the global batch and a
    ReLU; each stage after the first starts with a stride of 2. With the default filters
    it has 287,000 weights: enough for handwritten digits, and few enough that the
    digits recipes train in minutes on two CPU cores.

    Args:
        filters: channels of each stage; the last is the width of the features.
        name: the layer's name.

    Raises:
        UserError: if `filters` is empty.
    """

    @checked
    def __init__(
        self,
        *,
        filters: Sequence[PositiveInt] = (32, 64, 128),
        name: str = "convnet",
    ) -> None:
        """Makes the layers; see the class."""
        super().__init__(name=name)
        if not filters:
            raise UserError(
                f"convnet.filters is {filters!r}; give the channels of each stage, "
                "e.g. (32, 64, 128)."
            )
        self.filters = tuple(filters)
        self.convolutions = [
            ConvNorm(
                width,
                3,
                stride=2 if place == 0 and stage > 0 else 1,
                norm=BatchNorm,
                name=f"stage_{stage}_conv_{place}",
            )
            for stage, width in enumerate(self.filters)
            for place in range(2)
        ]

    @property
    def feature_dim(self) -> int:
        """Width of the feature vector."""
        return self.filters[-1]

    def build(self, shape: tuple[int | None, ...]) -> None:
        """Creates all variables, for images [n, size, size, channels]."""
        for layer in self.convolutions:
            layer.build(shape)
            shape = (shape[0], None, None, layer.filters)

    def call(self, images: tf.Tensor, *, training: bool) -> tf.Tensor:
        """Encodes [n, size, size, 3] -> float32 [n, feature_dim]."""
        x = images
        for layer in self.convolutions:
            x = layer(x, training=training)
        return tf.reduce_mean(tf.cast(x, full_dtype(self)), [1, 2])
