"""DropBlock."""

from __future__ import annotations

import keras
import tensorflow as tf

from sslkit import randomness, replica
from sslkit.arguments import PositiveInt, PositiveShare, checked
from sslkit.nn.precision import full_dtype


class DropBlock(keras.layers.Layer):
    """Drops whole squares of a feature map, each channel its own (Ghiasi et al. 2018).

    Algorithm 1 of arXiv:1810.12890. A square that lies inside the map starts at each
    place with probability

        gamma = (1 - keep_prob) * (height * width / size^2) / (places for a square),

    which ignores that squares overlap, so a little more than `keep_prob` is kept. What
    is kept is divided by its share of the global batch's map.

    Drops in training steps only (see `sslkit.randomness.draw`).

    Args:
        keep_prob: share of the map that is kept, in (0, 1].
        size: side of a square, at least 1; no larger than the map that comes in.
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
        """Returns float32, 1 where a square lies and else 0; broadcasts to `x`."""
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
        # Rows, then columns: 2 * size comparisons a pixel and not size^2.
        covered = tf.nn.max_pool2d(corners, [size, 1], 1, "VALID")
        return tf.nn.max_pool2d(covered, [1, size], 1, "VALID")
