"""The first layers of a ResNet, from pixels to feature maps."""

from __future__ import annotations

import keras
import tensorflow as tf

from sslkit.nn.convolution import ConvNorm, Convolution, Norm


class Stem(keras.layers.Layer):
    """Convolution, normalisation and ReLU; for large images also strides and pooling.

    Args:
        filters: output channels.
        small: whether it is for images of about 32 pixels: one 3x3 convolution, full
            resolution. If not, it is the ImageNet stem: a 7x7 convolution of stride 2
            and 3x3 max pooling of stride 2.
        deep: whether three 3x3 convolutions replace the 7x7 one (ResNet-D, He et al.
            2019, fig. 2b).
        norm: makes the normalisation layers.
        name: the layer's name.
    """

    def __init__(
        self, filters: int, *, small: bool, deep: bool, norm: Norm, name: str
    ) -> None:
        """Makes the stem's layers; see the class."""
        super().__init__(name=name)
        self.filters = filters
        self.small = small
        self.lead: list[ConvNorm] = []
        if small:
            self.conv = Convolution(filters, 3, name="conv")
        elif deep:
            half = filters // 2
            self.lead = [
                ConvNorm(half, 3, stride=2, norm=norm, name="lead_1"),
                ConvNorm(half, 3, norm=norm, name="lead_2"),
            ]
            self.conv = Convolution(filters, 3, name="conv")
        else:
            self.conv = Convolution(filters, 7, stride=2, name="conv")
        self.norm = norm(name="norm")

    def build(self, shape: tuple[int | None, ...]) -> None:
        """Creates the variables of all layers of the stem."""
        for layer in self.lead:
            layer.build(shape)
            shape = (shape[0], None, None, layer.filters)
        self.conv.build(shape)
        self.norm.build((shape[0], None, None, self.filters))

    def call(self, images: tf.Tensor, *, training: bool) -> tuple[tf.Tensor, tf.Tensor]:
        """Runs the stem.

        Args:
            images: [n, size, size, 3].
            training: see `BatchNorm`.

        Returns:
            The last convolution's output before its normalisation, and the stem's
            output.
        """
        x = images
        for layer in self.lead:
            x = layer(x, training=training)
        convolved = self.conv(x)
        x = tf.nn.relu(self.norm(convolved, training=training))
        if not self.small:
            x = tf.nn.max_pool2d(x, 3, 2, "SAME")
        return convolved, x
