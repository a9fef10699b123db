"""Squeeze-and-excitation."""

from __future__ import annotations

import keras
import tensorflow as tf

from sslkit.nn.convolution import Convolution


class SqueezeExcitation(keras.layers.Layer):
    """Scales each channel by a gate that depends on all (Hu et al. 2018, fig. 2).

    Args:
        channels: channels of input and output.
        hidden: width of the layer between the mean over pixels and the gates.
        name: the layer's name.
    """

    def __init__(self, channels: int, hidden: int, *, name: str) -> None:
        """Makes the two layers; see the class."""
        super().__init__(name=name)
        self.hidden = hidden
        self.reduce = Convolution(hidden, 1, use_bias=True, name="reduce")
        self.expand = Convolution(channels, 1, use_bias=True, name="expand")

    def build(self, shape: tuple[int | None, ...]) -> None:
        """Creates the two kernels and biases."""
        self.reduce.build(shape)
        self.expand.build((*shape[:-1], self.hidden))

    def call(self, x: tf.Tensor) -> tf.Tensor:
        """Gates [n, height, width, channels]; same shape."""
        squeezed = tf.reduce_mean(x, [1, 2], keepdims=True)
        return x * tf.sigmoid(self.expand(tf.nn.relu(self.reduce(squeezed))))
