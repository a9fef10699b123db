"""Selective kernels."""

from __future__ import annotations

import keras
import tensorflow as tf

from sslkit.nn.convolution import ConvNorm, Convolution, Norm

_LEAST_HIDDEN = 32


class SelectiveKernel(keras.layers.Layer):
    """Two convolution streams mixed by channel attention (Li et al. 2019, sec. 3.1).

    As in SimCLR v2 (Chen et al. 2020, app. A), both streams are 3x3.

    Args:
        filters: output channels.
        stride: step of the streams.
        ratio: width of the attention's hidden layer / `filters`; the width is at least
            32.
        norm: makes the normalisation layers.
        name: the layer's name.
    """

    def __init__(
        self, filters: int, *, stride: int, ratio: float, norm: Norm, name: str
    ) -> None:
        """Makes the streams and the attention; see the class."""
        super().__init__(name=name)
        self.filters = filters
        self.hidden = max(int(filters * ratio), _LEAST_HIDDEN)
        self.streams = ConvNorm(
            2 * filters, 3, stride=stride, norm=norm, name="streams"
        )
        self.squeeze = ConvNorm(self.hidden, 1, norm=norm, name="squeeze")
        self.mix = Convolution(2 * filters, 1, name="mix")

    def build(self, shape: tuple[int | None, ...]) -> None:
        """Creates the streams' variables, then the attention's."""
        spatial = shape[:-1]
        self.streams.build(shape)
        self.squeeze.build((*spatial, self.filters))
        self.mix.build((*spatial, self.hidden))

    def call(self, x: tf.Tensor, *, training: bool) -> tf.Tensor:
        """Maps [n, height, width, channels] -> [n, h', w', filters]."""
        streams = tf.stack(tf.split(self.streams(x, training=training), 2, axis=-1))
        squeezed = tf.reduce_mean(tf.reduce_sum(streams, 0), [1, 2], keepdims=True)
        mixing = self.mix(self.squeeze(squeezed, training=training))
        weights = tf.nn.softmax(tf.stack(tf.split(mixing, 2, axis=-1)), axis=0)
        return tf.reduce_sum(streams * weights, axis=0)
