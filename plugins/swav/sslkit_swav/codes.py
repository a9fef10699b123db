"""Codes: the assignments of the large views of the global batch to prototypes."""

from __future__ import annotations

import functools

import keras
import tensorflow as tf

from sslkit.nn import MemoryBank, Prototypes
from sslkit.objectives import gather_view_major, own_columns


def sinkhorn(scores: tf.Tensor, *, epsilon: float, iterations: int) -> tf.Tensor:
    """Returns soft assignments of images that use all prototypes equally.

    This is Sinkhorn-Knopp (Cuturi 2013) as in Caron et al. 2020 (arXiv:2006.09882, eq.
    3 to 5): Q = diag(u) exp(scores / epsilon) diag(v), where u and v are found by
    dividing alternately by the sums over images and over prototypes. The last division
    is by the sums over prototypes, so that each image has a distribution.

    Logarithms are added where the paper multiplies, so exponentials of 1 / epsilon are
    never computed.

    Args:
        scores: float [..., images, prototypes]; cosines.
        epsilon: weight of the entropy; a small one gives sharp assignments.
        iterations: how often both divisions are done.

    Returns:
        float [..., images, prototypes]; rows sum to 1.
    """
    log = scores / epsilon
    for _ in range(iterations):
        log -= tf.reduce_logsumexp(log, axis=-2, keepdims=True)
        log -= tf.reduce_logsumexp(log, axis=-1, keepdims=True)
    return tf.exp(log)


class Codes(keras.layers.Layer):
    """Makes codes over the global batch, and over a queue of earlier ones.

    Args:
        epsilon: see `sinkhorn`.
        iterations: see `sinkhorn`.
        queue: earlier global batches whose embeddings are used, too; 0 for none.
        queue_start: updates before they are used.
        name: the layer's name.
    """

    def __init__(
        self,
        *,
        epsilon: float,
        iterations: int,
        queue: int,
        queue_start: int,
        name: str,
    ) -> None:
        """Keeps the options; see the class."""
        super().__init__(name=name, autocast=False)
        self._sinkhorn = functools.partial(
            sinkhorn, epsilon=epsilon, iterations=iterations
        )
        # Rows that were not written yet are not read.
        self._start = max(queue, queue_start)
        self.bank = None
        if queue:
            # One batch longer, because this batch's embeddings are in it when it is
            # read.
            self.bank = MemoryBank(batches=2 * (queue + 1), views=2, name="bank")

    def call(
        self, large: tf.Tensor, *, prototypes: Prototypes, step: tf.Tensor
    ) -> tf.Tensor:
        """Returns the codes of this replica's large views, without a gradient.

        Args:
            large: float [2, b, D], of length 1.
            prototypes: the layer, which is built.
            step: int64 [], updates done so far.

        Returns:
            float [2, b, K].
        """
        everyone = tf.stop_gradient(gather_view_major(large))
        images, dim = everyone.shape[0] // 2, everyone.shape[1]

        def of(rows: tf.Tensor) -> tf.Tensor:
            return self._sinkhorn(prototypes(rows))[:, :images]

        own = tf.reshape(everyone, [2, images, dim])
        if self.bank is None:
            codes = of(own)
        else:
            kept = tf.reshape(self.bank(everyone).rows, [-1, 2, images, dim])
            longer = tf.reshape(tf.transpose(kept, [1, 0, 2, 3]), [2, -1, dim])
            codes = tf.cond(step >= self._start, lambda: of(longer), lambda: of(own))
        place = own_columns(views=2, batch=large.shape[1])
        codes = tf.gather(tf.reshape(codes, [2 * images, -1]), place)
        return tf.stop_gradient(codes)
