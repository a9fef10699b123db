"""The vision transformer."""

from __future__ import annotations

import functools
from typing import Literal

import keras
import numpy as np
import tensorflow as tf

from sslkit import randomness
from sslkit.api import Backbone, HalfOpenShare, PositiveInt, UserError, checked
from sslkit.nn.precision import full_dtype

_WAVELENGTH = 10_000.0
_EPSILON = 1e-6


class ViT(Backbone):
    """A transformer on patches (Dosovitskiy et al. 2021), in MoCo v3's variant.

    Chen, Xie, He 2021 (arXiv:2104.02057, sec. 4 and 5): normalisation is before
    attention and before the perceptron; position codes are fixed sines and cosines of
    row and column; query, key and value are each initialised as by Glorot; and the
    projection of patches may stay random. Position codes are computed, so images may
    have any size that is a multiple of the patch, and views may have several sizes.

    ViT-S/16 is `width=384, depth=12, heads=12` (in DINO, 6 heads); ViT-B/16 is
    `width=768, depth=12, heads=12`.

    Args:
        width: size of a token; a multiple of 4 and of `heads`.
        depth: blocks.
        heads: of attention.
        patch: side of a patch, in pixels.
        mlp_ratio: hidden width of a block's perceptron / `width`.
        pool: the features: "token" for the output of the class token, "mean" for the
            mean over patches, without a class token.
        freeze_patches: whether the projection of patches keeps its random initial
            weights, which MoCo v3 found to make training stable.
        drop_path: share of images for which the last block is left out in training; the
            share grows linearly from 0 in the first block (stochastic depth).
        name: the layer's name.

    Raises:
        UserError: if a width or an image's size cannot be divided as it must be.
    """

    @checked
    def __init__(
        self,
        *,
        width: PositiveInt = 384,
        depth: PositiveInt = 12,
        heads: PositiveInt = 12,
        patch: PositiveInt = 16,
        mlp_ratio: PositiveInt = 4,
        pool: Literal["token", "mean"] = "token",
        freeze_patches: bool = False,
        drop_path: HalfOpenShare = 0.0,
        name: str = "vit",
    ) -> None:
        """Makes the layers; see the class."""
        super().__init__(name=name)
        if width % 4 or width % heads:
            raise UserError(
                f"vit: width is {width} and heads is {heads}; width must be a multiple "
                "of 4, for the position codes, and of heads."
            )
        self.width = width
        self.patch = patch
        self.pool = pool
        self.freeze_patches = freeze_patches
        # Glorot's bound for a dense layer on the pixels of a patch.
        bound = (6 / (3 * patch**2 + width)) ** 0.5
        self.patches = keras.layers.Conv2D(
            width,
            patch,
            strides=patch,
            kernel_initializer=keras.initializers.RandomUniform(-bound, bound),
            name="patches",
        )
        self.blocks = [
            Block(
                width,
                heads=heads,
                hidden=mlp_ratio * width,
                drop_path=drop_path * place / max(1, depth - 1),
                name=f"block_{place}",
            )
            for place in range(depth)
        ]
        self.norm = keras.layers.LayerNormalization(epsilon=_EPSILON, name="norm")

    @property
    def feature_dim(self) -> int:
        """Width of the feature vector."""
        return self.width

    def describe(self) -> str:
        """Returns blocks, patch and width in words."""
        return (
            f"ViT of {len(self.blocks)} blocks, patches of {self.patch} px, "
            f"{self.width} features"
        )

    def build(self, shape: tuple[int | None, ...]) -> None:
        """Creates all variables."""
        tokens = (shape[0], None, self.width)
        self.patches.build((shape[0], None, None, 3))
        if self.freeze_patches:
            self.patches.trainable = False
        if self.pool == "token":
            self.token = self.add_weight(
                name="token",
                shape=(1, 1, self.width),
                initializer=keras.initializers.RandomNormal(stddev=1e-6),
            )
        for block in self.blocks:
            block.build(tokens)
        self.norm.build(tokens)

    def call(self, images: tf.Tensor, *, training: bool) -> tf.Tensor:
        """Encodes [n, size, size, 3] -> float32 [n, width]."""
        rows, columns = (side // self.patch for side in images.shape[1:3])
        if (rows * self.patch, columns * self.patch) != tuple(images.shape[1:3]):
            raise UserError(
                f"vit: images are {images.shape[1]} x {images.shape[2]} pixels, which "
                f"is not a multiple of the patch, {self.patch}. Choose another size of "
                "views, or backbones.vit.patch."
            )
        x = self.patches(images)
        x = tf.reshape(x, [-1, rows * columns, self.width])
        x += tf.constant(position_codes(rows, columns, self.width), x.dtype)
        if self.pool == "token":
            token = tf.cast(tf.convert_to_tensor(self.token), x.dtype)
            x = tf.concat([tf.tile(token, [tf.shape(x)[0], 1, 1]), x], axis=1)
        for block in self.blocks:
            x = block(x, training=training)
        x = tf.cast(self.norm(x), full_dtype(self))
        return x[:, 0] if self.pool == "token" else tf.reduce_mean(x, axis=1)


class Block(keras.layers.Layer):
    """Attention over tokens, then a perceptron on each, both with residual connections.

    Args:
        width: of a token.
        heads: of attention.
        hidden: hidden width of the perceptron.
        drop_path: share of images for which a branch is left out in training.
        name: the layer's name.
    """

    def __init__(
        self, width: int, *, heads: int, hidden: int, drop_path: float, name: str
    ) -> None:
        """Makes the layers; see the class."""
        super().__init__(name=name)
        self.width, self.heads, self.hidden = width, heads, hidden
        norm = functools.partial(keras.layers.LayerNormalization, epsilon=_EPSILON)
        # Query, key and value are one kernel, initialised as if they were three.
        bound = (6 / (2 * width)) ** 0.5
        self.norm_1 = norm(name="norm_1")
        self.qkv = keras.layers.Dense(
            3 * width,
            kernel_initializer=keras.initializers.RandomUniform(-bound, bound),
            name="qkv",
        )
        self.out = keras.layers.Dense(width, name="out")
        self.norm_2 = norm(name="norm_2")
        self.up = keras.layers.Dense(hidden, name="up")
        self.down = keras.layers.Dense(width, name="down")
        self.drops = [DropPath(drop_path, name=name) for name in ("drop_1", "drop_2")]

    def build(self, shape: tuple[int | None, ...]) -> None:
        """Creates all variables."""
        for layer in (self.norm_1, self.qkv, self.out, self.norm_2, self.up):
            layer.build(shape)
        self.down.build((*shape[:2], self.hidden))

    def call(self, x: tf.Tensor, *, training: bool) -> tf.Tensor:
        """Maps tokens [n, tokens, width] to the same shape."""
        attended = self.out(self._attend(self.qkv(self.norm_1(x))))
        x += self.drops[0](attended, training=training)
        moved = self.down(tf.nn.gelu(self.up(self.norm_2(x))))
        return x + self.drops[1](moved, training=training)

    def _attend(self, qkv: tf.Tensor) -> tf.Tensor:
        tokens, deep = qkv.shape[1], self.width // self.heads
        qkv = tf.reshape(qkv, [-1, tokens, 3, self.heads, deep])
        query, key, value = tf.unstack(tf.transpose(qkv, [2, 0, 3, 1, 4]))
        scores = tf.matmul(query, key, transpose_b=True)
        # The sum of exponentials is not taken in half precision.
        weights = tf.nn.softmax(tf.cast(scores, full_dtype(self)) * deep**-0.5)
        mixed = tf.matmul(tf.cast(weights, value.dtype), value)
        return tf.reshape(tf.transpose(mixed, [0, 2, 1, 3]), [-1, tokens, self.width])


class DropPath(keras.layers.Layer):
    """Leaves a branch out for some images (Huang et al. 2016), in training steps only.

    Args:
        rate: share of images, in [0, 1); kept values are divided by 1 - rate.
        name: the layer's name.
    """

    def __init__(self, rate: float, *, name: str) -> None:
        """Keeps the rate; see the class."""
        super().__init__(name=name)
        self.rate = rate

    def build(self, shape: tuple[int | None, ...]) -> None:
        """Makes no variables."""
        del shape

    def call(self, x: tf.Tensor, *, training: bool) -> tf.Tensor:
        """Maps [n, tokens, width] to the same shape."""
        drawn = None
        if training and self.rate:
            drawn = randomness.draw(self.path, rows=x.shape[0], count=1)
        if drawn is None:
            return x
        kept = tf.cast(drawn >= self.rate, x.dtype) / (1 - self.rate)
        return x * kept[:, :, tf.newaxis]


def position_codes(rows: int, columns: int, width: int) -> np.ndarray:
    """Returns the fixed position codes of MoCo v3.

    A quarter of the width each is for sines of the column, cosines of the column, sines
    of the row and cosines of the row, with wavelengths that grow geometrically to
    10,000 patches.

    Args:
        rows: patches from top to bottom.
        columns: patches from left to right.
        width: of a token, a multiple of 4.

    Returns:
        float64 [rows * columns, width], row by row.
    """
    quarter = width // 4
    frequencies = _WAVELENGTH ** -(np.arange(quarter) / quarter)
    row, column = np.divmod(np.arange(rows * columns), columns)
    across, down = np.outer(column, frequencies), np.outer(row, frequencies)
    return np.concatenate(
        [np.sin(across), np.cos(across), np.sin(down), np.cos(down)], axis=1
    )
