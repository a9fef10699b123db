"""The residual blocks of ResNet v1."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import NamedTuple

import keras
import tensorflow as tf

from sslkit.nn.convolution import ConvNorm, Norm, fixed_padding
from sslkit.nn.dropblock import DropBlock
from sslkit.nn.selective_kernel import SelectiveKernel
from sslkit.nn.squeeze_excitation import SqueezeExcitation

_EXPANSION = 4

Drop = Callable[..., DropBlock]
"""Makes the DropBlock layers of a group: `drop(name=...)`."""


class BlockDesign(NamedTuple):
    """The options that all blocks of a network share."""

    bottleneck: bool
    """Whether there are three convolutions, 1x1, 3x3 and 1x1, instead of two of 3x3."""
    sk_ratio: float
    """Hidden width of selective kernels / filters; 0 for plain convolutions."""
    se_ratio: float
    """Hidden width of squeeze-and-excitation / filters; 0 for none."""
    norm: Norm
    """Makes the normalisation layers."""

    def channels(self, filters: int) -> int:
        """Returns the number of output channels of a block with `filters` filters."""
        return _EXPANSION * filters if self.bottleneck else filters


class Shortcut(keras.layers.Layer):
    """A projection shortcut: 1x1 convolution and normalisation.

    Args:
        channels: output channels.
        stride: step in both directions.
        pool: whether a mean over 2x2 pixels comes first and has the stride, which the
            convolution has otherwise (ResNet-D, He et al. 2019, fig. 2c).
        norm: makes the normalisation layer.
        name: the layer's name.
    """

    def __init__(
        self, channels: int, *, stride: int, pool: bool, norm: Norm, name: str
    ) -> None:
        """Makes the projection; see the class."""
        super().__init__(name=name)
        self.stride = stride
        self.pool = pool
        self.projection = ConvNorm(
            channels,
            1,
            stride=1 if pool else stride,
            relu=False,
            norm=norm,
            name="projection",
        )

    def build(self, shape: tuple[int | None, ...]) -> None:
        """Creates the projection's variables."""
        self.projection.build(shape)

    def call(self, x: tf.Tensor, *, training: bool) -> tf.Tensor:
        """Maps [n, height, width, c] -> [n, h', w', channels]."""
        if self.pool and self.stride > 1:
            x = tf.nn.avg_pool2d(fixed_padding(x, 2), 2, self.stride, "VALID")
        elif self.pool:
            x = tf.nn.avg_pool2d(x, 2, 1, "SAME")
        return self.projection(x, training=training)


class ResidualBlock(keras.layers.Layer):
    """A post-activation residual block, basic or bottleneck (He et al. 2016, fig. 5).

    The last normalisation of the residual branch starts with gamma at 0. Layers are in
    the published order: shortcut, residual branch, squeeze-and-excitation. DropBlock
    follows the shortcut, whether it is a projection or not, and each layer of the
    branch.

    Args:
        filters: channels of the inner convolutions.
        stride: stride of the block, at the first 3x3 convolution of the branch.
        project: whether the shortcut is a projection and not the identity.
        design: the options that all blocks of the network share.
        drop: makes the DropBlock layers; None for none.
        name: the layer's name.
    """

    def __init__(
        self,
        filters: int,
        *,
        stride: int,
        project: bool,
        design: BlockDesign,
        drop: Drop | None,
        name: str,
    ) -> None:
        """Makes the block's layers; see the class."""
        super().__init__(name=name)
        channels = design.channels(filters)
        self.shortcut = None
        if project:
            self.shortcut = Shortcut(
                channels,
                stride=stride,
                pool=design.sk_ratio > 0,
                norm=design.norm,
                name="shortcut",
            )
        branch = _bottleneck_branch if design.bottleneck else _basic_branch
        self.branch = branch(filters, stride=stride, design=design)
        self.widths = [filters] * (len(self.branch) - 1) + [channels]
        self.shortcut_drop = None
        self.branch_drops: list[DropBlock] = []
        if drop is not None:
            self.shortcut_drop = drop(name="shortcut_drop")
            self.branch_drops = [
                drop(name=f"residual_{number}_drop")
                for number in range(1, len(self.branch) + 1)
            ]
        self.squeeze_excitation = None
        if design.se_ratio > 0:
            self.squeeze_excitation = SqueezeExcitation(
                channels,
                max(1, int(filters * design.se_ratio)),
                name="squeeze_excitation",
            )

    def build(self, shape: tuple[int | None, ...]) -> None:
        """Creates the variables of all layers of the block."""
        # Only channels matter here, so strides are ignored.
        spatial = (shape[0], None, None)
        if self.shortcut is not None:
            self.shortcut.build(shape)
        width = shape[-1]
        for layer, out in zip(self.branch, self.widths, strict=True):
            layer.build((*spatial, width))
            width = out
        if self.squeeze_excitation is not None:
            self.squeeze_excitation.build((*spatial, width))
        if self.shortcut_drop is not None:
            for drop in (self.shortcut_drop, *self.branch_drops):
                drop.build((*spatial, None))

    def call(self, x: tf.Tensor, *, training: bool) -> tf.Tensor:
        """Maps [n, height, width, c] -> [n, h', w', design.channels(filters)]."""
        shortcut = x
        if self.shortcut is not None:
            shortcut = self.shortcut(x, training=training)
        if self.shortcut_drop is not None:
            shortcut = self.shortcut_drop(shortcut, training=training)
        for layer, drop in itertools.zip_longest(self.branch, self.branch_drops):
            x = layer(x, training=training)
            if drop is not None:
                x = drop(x, training=training)
        if self.squeeze_excitation is not None:
            x = self.squeeze_excitation(x)
        return tf.nn.relu(x + shortcut)


class BlockGroup(keras.layers.Layer):
    """The blocks of one resolution, `block_0` and so on; the first has a projection.

    Args:
        filters: channels of the blocks' inner convolutions.
        blocks: how many.
        stride: stride of the first block.
        design: the options that all blocks of the network share.
        drop: makes the DropBlock layers; None for none.
        name: the layer's name.
    """

    def __init__(
        self,
        filters: int,
        *,
        blocks: int,
        stride: int,
        design: BlockDesign,
        drop: Drop | None = None,
        name: str,
    ) -> None:
        """Makes the blocks; see the class."""
        super().__init__(name=name)
        self.channels = design.channels(filters)
        self.blocks = [
            ResidualBlock(
                filters,
                stride=stride if index == 0 else 1,
                project=index == 0,
                design=design,
                drop=drop,
                name=f"block_{index}",
            )
            for index in range(blocks)
        ]

    def build(self, shape: tuple[int | None, ...]) -> None:
        """Creates the variables of all blocks."""
        for block in self.blocks:
            block.build(shape)
            shape = (shape[0], None, None, self.channels)

    def call(self, x: tf.Tensor, *, training: bool) -> tf.Tensor:
        """Maps [n, height, width, c] -> [n, h', w', design.channels(filters)]."""
        for block in self.blocks:
            x = block(x, training=training)
        return x


def _basic_branch(
    filters: int, *, stride: int, design: BlockDesign
) -> list[keras.layers.Layer]:
    norm = design.norm
    return [
        ConvNorm(filters, 3, stride=stride, norm=norm, name="residual_1"),
        ConvNorm(filters, 3, relu=False, zero_gamma=True, norm=norm, name="residual_2"),
    ]


def _bottleneck_branch(
    filters: int, *, stride: int, design: BlockDesign
) -> list[keras.layers.Layer]:
    norm = design.norm
    middle: keras.layers.Layer
    if design.sk_ratio > 0:
        middle = SelectiveKernel(
            filters, stride=stride, ratio=design.sk_ratio, norm=norm, name="residual_2"
        )
    else:
        middle = ConvNorm(filters, 3, stride=stride, norm=norm, name="residual_2")
    return [
        ConvNorm(filters, 1, norm=norm, name="residual_1"),
        middle,
        ConvNorm(
            design.channels(filters),
            1,
            relu=False,
            zero_gamma=True,
            norm=norm,
            name="residual_3",
        ),
    ]
