"""The new_thing backbone."""

from __future__ import annotations

import keras
import tensorflow as tf

from sslkit.api import Backbone, PositiveInt, checked
from sslkit.nn import BatchNorm, full_dtype


class NewThing(Backbone):
    """Two normalised convolutions, and the mean over pixels.

    To be changed: the network, and the paper that it is from.

    Args:
        width: channels, and so the width of the features.
        name: the layer's name.
    """

    @checked
    def __init__(self, *, width: PositiveInt = 64, name: str = "new_thing") -> None:
        """Makes the layers, each with a name; their variables appear in `build`."""
        super().__init__(name=name)
        self.width = width
        self.convolutions = [
            keras.layers.Conv2D(
                width, 3, strides=2, padding="same", use_bias=False, name=f"conv_{n}"
            )
            for n in range(2)
        ]
        # The layer of Keras would use the images of one replica only.
        self.norms = [BatchNorm(name=f"norm_{n}") for n in range(2)]

    @property
    def feature_dim(self) -> int:
        """Width of the feature vector."""
        return self.width

    def build(self, shape: tuple[int | None, ...]) -> None:
        """Creates all variables, for images [n, size, size, 3]."""
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            convolution.build(shape)
            shape = (shape[0], None, None, self.width)
            norm.build(shape)

    def call(self, images: tf.Tensor, *, training: bool) -> tf.Tensor:
        """Encodes images.

        Args:
            images: float32 [n, size, size, 3] in [0, 1].
            training: whether to normalise by the batch, and to update the moving
                statistics.

        Returns:
            float32 [n, width].
        """
        x = images
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            x = tf.nn.relu(norm(convolution(x), training=training))
        return tf.reduce_mean(tf.cast(x, full_dtype(self)), [1, 2])
