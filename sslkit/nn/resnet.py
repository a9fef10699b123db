"""ResNet v1, the backbone of SimCLR v1 and v2 and of FNC."""

from __future__ import annotations

import functools
from typing import Literal

import keras
import tensorflow as tf

from sslkit.api import (
    Backbone,
    PositiveFloat,
    PositiveInt,
    PositiveShare,
    Share,
    UserError,
    checked,
)
from sslkit.nn.batch_norm import BatchNorm
from sslkit.nn.dropblock import DropBlock
from sslkit.nn.precision import full_dtype
from sslkit.nn.residual_block import BlockDesign, BlockGroup, Drop
from sslkit.nn.stem import Stem

_BASIC = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3)}
_BOTTLENECK = {
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
    200: (3, 24, 36, 3),
}
_FILTERS = (64, 128, 256, 512)
_LARGEST_CIFAR_SIDE = 32
_DROPBLOCK_SHARE = {3: 0.25, 4: 1.0}
"""Group -> its drop rate, as a share of the last group's."""


class ResNet(Backbone):
    """A post-activation residual network (He et al. 2016).

    It is the network published with SimCLR (Chen et al. 2020): padding depends only on
    kernels, residual branches add nothing at first, and each group begins with a
    projection shortcut. Variables are created in the order of the published
    checkpoints.

    DropBlock (Ghiasi et al. 2018, see `DropBlock`) is applied in groups 3 and 4, after
    each normalisation and on the shortcuts. No published recipe uses it, and the
    published basic blocks do not have it.

    Args:
        depth: 18 or 34 (basic blocks); 50, 101, 152 or 200 (bottleneck blocks).
        width: multiplies all channels; at least 1.
        stem: "imagenet" (7x7 convolution of stride 2, max pooling), "cifar" (one 3x3
            convolution, full resolution), or "auto": cifar if the images it is built
            for are at most 32 pixels wide.
        sk_ratio: hidden width of selective kernels / filters, 0.0625 in SimCLR v2; 0
            for none. It also turns on ResNet-D's stem and shortcuts, and needs
            bottleneck blocks.
        se_ratio: hidden width of squeeze-and-excitation / filters; 0 for none.
        dropblock_keep_prob: share of the maps that group 4 keeps in training, in (0,
            1], 0.9 in the paper; 1 for no DropBlock. Group 3 drops a quarter of group
            4's share.
        dropblock_size: side of a dropped square, in pixels of the map, or the whole map
            if that is smaller; 7 in the paper.
        momentum: see `BatchNorm`.
        epsilon: see `BatchNorm`.
        cross_replica: see `BatchNorm`.
        name: the layer's name.

    Raises:
        UserError: if an option has a value that is not described above.
    """

    @checked
    def __init__(
        self,
        *,
        depth: Literal[18, 34, 50, 101, 152, 200] = 50,
        width: PositiveInt = 1,
        stem: Literal["auto", "cifar", "imagenet"] = "auto",
        sk_ratio: Share = 0.0,
        se_ratio: Share = 0.0,
        dropblock_keep_prob: PositiveShare = 1.0,
        dropblock_size: PositiveInt = 7,
        momentum: Share = 0.9,
        epsilon: PositiveFloat = 1e-5,
        cross_replica: bool = True,
        name: str = "resnet",
    ) -> None:
        """Checks and keeps the options; see the class."""
        super().__init__(name=name)
        blocks = {**_BASIC, **_BOTTLENECK}
        if sk_ratio > 0 and depth in _BASIC:
            raise UserError(
                f"resnet.sk_ratio is {sk_ratio!r}, but selective kernels need the "
                f"bottleneck blocks that depth {depth} lacks; "
                f"choose a depth of {list(_BOTTLENECK)}."
            )
        self.dropblock_keep_prob = dropblock_keep_prob
        self.dropblock_size = dropblock_size
        self.depth = depth
        self.blocks = blocks[depth]
        self.width = width
        self._frozen = 0
        self.stem_kind = stem
        self.design = BlockDesign(
            bottleneck=depth in _BOTTLENECK,
            sk_ratio=sk_ratio,
            se_ratio=se_ratio,
            norm=functools.partial(
                BatchNorm,
                momentum=momentum,
                epsilon=epsilon,
                cross_replica=cross_replica,
            ),
        )

    @property
    def feature_dim(self) -> int:
        """Width of the feature vector."""
        return self.design.channels(_FILTERS[-1] * self.width)

    def build(self, shape: tuple[int | None, ...]) -> None:
        """Creates all variables.

        Args:
            shape: [n, size, size, 3]; n may be None.

        Raises:
            UserError: if the stem is "auto" and the size is not known.
        """
        filters = [self.width * base for base in _FILTERS]
        self.stem = Stem(
            filters[0],
            small=self._small(shape),
            deep=self.design.sk_ratio > 0,
            norm=self.design.norm,
            name="stem",
        )
        self.stem.build(shape)
        self.groups = [
            BlockGroup(
                inner,
                blocks=count,
                stride=1 if number == 1 else 2,
                design=self.design,
                drop=self._drop(number),
                name=f"group_{number}",
            )
            for number, (inner, count) in enumerate(
                zip(filters, self.blocks, strict=True), start=1
            )
        ]
        channels = filters[0]
        for group in self.groups:
            group.build((shape[0], None, None, channels))
            channels = group.channels
        # Layers made here are trainable, even if this one was frozen before.
        for number, layer in enumerate(self._blocks()):
            layer.trainable = self.trainable and number >= self._frozen

    def _drop(self, group: int) -> Drop | None:
        """Returns the maker of a group's DropBlock layers; None for none."""
        if self.dropblock_keep_prob == 1 or group not in _DROPBLOCK_SHARE:
            return None
        dropped = (1 - self.dropblock_keep_prob) * _DROPBLOCK_SHARE[group]
        return functools.partial(
            DropBlock, keep_prob=1 - dropped, size=self.dropblock_size
        )

    def describe(self) -> str:
        """Returns depth, width and the stem, e.g. `ResNet-18, width 1, cifar stem`."""
        stem = "cifar" if self.stem.small else "imagenet"
        chosen = " (chosen by the image size)" if self.stem_kind == "auto" else ""
        said = f"ResNet-{self.depth}, width {self.width}, {stem} stem{chosen}"
        for option in ("sk_ratio", "se_ratio"):
            if ratio := getattr(self.design, option):
                said += f", {option} {ratio:g}"
        if self.dropblock_keep_prob < 1:
            said += (
                f", dropblock_keep_prob {self.dropblock_keep_prob:g}, "
                f"dropblock_size {self.dropblock_size}"
            )
        return said

    def freeze(self, *, through: int) -> None:
        """Freezes the first layers; how they normalise still depends on `training`.

        Args:
            through: the last part that is frozen: 0, the stem; 1 to 4, the stem and
                this many groups of residual blocks.

        Raises:
            UserError: if there is no such part.
        """
        if not 0 <= through <= len(_FILTERS):
            raise UserError(
                f"there is no block {through} to freeze up to; a resnet has the stem, "
                f"0, and the groups 1 to {len(_FILTERS)}."
            )
        self._frozen = through + 1
        if self.built:
            for layer in self._blocks()[: self._frozen]:
                layer.trainable = False

    def _blocks(self) -> list[keras.layers.Layer]:
        return [self.stem, *self.groups]

    def _small(self, shape: tuple[int | None, ...]) -> bool:
        if self.stem_kind != "auto":
            return self.stem_kind == "cifar"
        if shape[1] is None:
            raise UserError(
                f"resnet.stem is 'auto', but the images' size is unknown: {shape}. "
                "Bind resnet.stem to 'cifar' or 'imagenet'."
            )
        return shape[1] <= _LARGEST_CIFAR_SIDE

    def call(self, images: tf.Tensor, *, training: bool) -> tf.Tensor:
        """Encodes images.

        Args:
            images: [n, size, size, 3] in [0, 1].
            training: whether batch normalisation uses (and tracks) batch statistics.

        Returns:
            float32 [n, feature_dim], the mean over pixels of the last group's output.
        """
        return self.endpoints(images, training=training)["final_avg_pool"]

    def endpoints(self, images: tf.Tensor, *, training: bool) -> dict[str, tf.Tensor]:
        """Encodes images and returns the intermediate results, too.

        Args:
            images: [n, size, size, 3] in [0, 1].
            training: see `call`.

        Returns:
            Published name -> tensor: "initial_conv" (before its normalisation),
            "initial_max_pool" (the stem's output), "block_group1" to "block_group4",
            each [n, height, width, channels] in the compute dtype; "final_avg_pool",
            float32 [n, feature_dim].
        """
        if not self.built:
            self.build(tuple(images.shape))
        convolved, x = self.stem(images, training=training)
        found = {"initial_conv": convolved, "initial_max_pool": x}
        for number, group in enumerate(self.groups, start=1):
            x = group(x, training=training)
            found[f"block_group{number}"] = x
        found["final_avg_pool"] = tf.reduce_mean(tf.cast(x, full_dtype(self)), [1, 2])
        return found
