"""DropBlock."""

from __future__ import annotations

import keras
import tensorflow as tf

from sslkit import randomness, replica
from sslkit.arguments import PositiveInt, PositiveShare, checked
from sslkit.nn.precision import full_dtype


class DropBlock(keras.layers.Layer):
    """Drops whole squares of a feature map, per channel (Ghiasi et al. 2018).

    Algorithm 1 of arXiv:1810.12890. At each place where a square fits into the map, one
    starts with probability

        gamma = (1 - keep_prob) * (height * width / size^2) / (places for a square),

    which ignores that squares overlap, so a little more than `keep_prob` is kept. The
    kept values are divided by the share that is kept in the global batch.

    Drops in training steps only (see `sslkit.randomness.draw`).

    Args:
        keep_prob: share of the map that is kept, in (0, 1].
        size: side of a square, at least 1 and at most the side of the map.
        name: the layer's name.
    """

    @checked
    def __init__(
        self, *, keep_prob: PositiveShare, size: PositiveInt = 7, name: str
    ) -> None:
        """Keeps the options; see the class."""
        super().__init__(name=name)
        self.keep_prob = keep_prob
        self.size = size

    def build(self, shape: tuple[int | None, ...]) -> None:
        """Makes no variables."""
        del shape

    def call(self, x: tf.Tensor, *, training: bool) -> tf.Tensor:
        """Drops from [n, height, width, channels]; the size is static."""
        drawn = self._squares(x) if training else None
        if drawn is None:
            return x
        kept = tf.cast(1 - drawn, full_dtype(self))
        share = replica.mean(tf.reduce_mean(kept))
        return x * tf.cast(tf.math.divide_no_nan(kept, share), x.dtype)

    def _squares(self, x: tf.Tensor) -> tf.Tensor | None:
        """Returns float32, 1 within squares and 0 elsewhere; broadcasts to `x`."""
        rows, height, width, channels = x.shape
        size = min(self.size, height, width)
        down, across = height - size + 1, width - size + 1
        places = down * across
        numbers = randomness.draw(self.path, rows=rows, count=places * channels)
        if numbers is None:
            return None
        gamma = (1 - self.keep_prob) * height * width / size**2 / places
        corners = tf.reshape(numbers, [rows, down, across, channels]) < gamma
        corners = tf.cast(corners, tf.float32)
        if places == 1:
            return corners
        # A pixel is dropped if a square starts at most size - 1 above and left of it.
        border = [size - 1, size - 1]
        corners = tf.pad(corners, [[0, 0], border, border, [0, 0]])
        # Rows, then columns: 2 * size comparisons per pixel instead of size^2.
        covered = tf.nn.max_pool2d(corners, [size, 1], 1, "VALID")
        return tf.nn.max_pool2d(covered, [1, size], 1, "VALID")
