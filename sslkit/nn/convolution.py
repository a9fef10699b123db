"""Convolutions for ResNets."""

from __future__ import annotations

from collections.abc import Callable

import keras
import tensorflow as tf

from sslkit.nn.batch_norm import BatchNorm

Norm = Callable[..., BatchNorm]
"""Makes the normalisation layers of a network: `norm(name=..., zero_gamma=...)`."""


def fixed_padding(x: tf.Tensor, size: int) -> tf.Tensor:
    """Pads height and width with `size - 1` zeros, half on each side, an odd one last.

    The padding depends only on the kernel. TensorFlow's "SAME" also depends on the
    image's size, so a strided network would sample other pixels at other sizes.
    """
    before = (size - 1) // 2
    side = [before, size - 1 - before]
    return tf.pad(x, [[0, 0], side, side, [0, 0]])


class Convolution(keras.layers.Conv2D):
    """A 2-D convolution, with fixed padding if it has a stride.

    The initial kernel is from a truncated normal distribution of variance 1 / fan-in.

    Args:
        filters: output channels.
        size: side of the kernel.
        stride: step in both directions.
        use_bias: whether to add a bias.
        name: the layer's name.
    """

    def __init__(
        self,
        filters: int,
        size: int,
        *,
        stride: int = 1,
        use_bias: bool = False,
        name: str,
    ) -> None:
        """Keeps the options; see the class."""
        super().__init__(
            filters,
            size,
            strides=stride,
            padding="same" if stride == 1 else "valid",
            data_format="channels_last",
            use_bias=use_bias,
            kernel_initializer=keras.initializers.VarianceScaling(
                scale=1.0, mode="fan_in", distribution="truncated_normal"
            ),
            name=name,
        )

    def call(self, x: tf.Tensor) -> tf.Tensor:
        """Convolves [n, height, width, channels] -> [n, h', w', filters]."""
        if self.strides[0] > 1:
            x = fixed_padding(x, self.kernel_size[0])
        return super().call(x)


class ConvNorm(keras.layers.Layer):
    """A convolution without bias, batch normalisation, and optionally a ReLU.

    Args:
        filters: output channels.
        size: side of the kernel.
        stride: step in both directions.
        relu: whether a ReLU follows.
        zero_gamma: whether the normalisation starts with gamma at 0.
        norm: makes the normalisation layer.
        name: the layer's name.
    """

    def __init__(
        self,
        filters: int,
        size: int,
        *,
        stride: int = 1,
        relu: bool = True,
        zero_gamma: bool = False,
        norm: Norm,
        name: str,
    ) -> None:
        """Makes the two layers; see the class."""
        super().__init__(name=name)
        self.filters = filters
        self.relu = relu
        self.conv = Convolution(filters, size, stride=stride, name="conv")
        self.norm = norm(zero_gamma=zero_gamma, name="norm")

    def build(self, shape: tuple[int | None, ...]) -> None:
        """Creates the kernel, then the normalisation's variables."""
        self.conv.build(shape)
        self.norm.build((*shape[:-1], self.filters))

    def call(self, x: tf.Tensor, *, training: bool) -> tf.Tensor:
        """Maps [n, height, width, channels] -> [n, h', w', filters]."""
        x = self.norm(self.conv(x), training=training)
        return tf.nn.relu(x) if self.relu else x
