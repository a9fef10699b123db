"""The contrastive loss over any number of views, and the layouts it works on.

Notation: V views of each of b images on this replica, B = b x replicas images in the
global batch, D dimensions. Embeddings of the global batch are laid out view-major:
view 0 of all images, then view 1 of all images, and so on; the images of a view are in
replica order. Row v * B + g is view v of global image g.
"""

from __future__ import annotations

from collections.abc import Iterable

import tensorflow as tf

from sslkit import replica
from sslkit.api import Views


def join_views(views: Views, groups: Iterable[str]) -> tf.Tensor:
    """Joins groups of views into one view-major stack of images.

    Args:
        views: group -> [b, count, size, size, 3], all of one size.
        groups: the groups to take, in order.

    Returns:
        [V * b, size, size, 3]; V is the sum of the counts.
    """
    stack = tf.concat([views[group] for group in groups], axis=1)
    stack = tf.transpose(stack, [1, 0, 2, 3, 4])
    return tf.reshape(stack, [-1, *stack.shape[2:]])


def gather_view_major(embeddings: tf.Tensor) -> tf.Tensor:
    """Collects the embeddings of the global batch, with gradients.

    Args:
        embeddings: [V, b, D], this replica's.

    Returns:
        [V * B, D], view-major, equal on all replicas.
    """
    everyone = replica.gather(tf.transpose(embeddings, [1, 0, 2]))
    return tf.reshape(tf.transpose(everyone, [1, 0, 2]), [-1, embeddings.shape[2]])


def own_columns(*, views: int, batch: int, columns: int) -> tf.Tensor:
    """Says where each view of this replica's images stands among the candidates.

    Args:
        views: V.
        batch: b, images of this replica.
        columns: number of candidates; the first V * B are the global batch,
            view-major, and the others are no views of these images.

    Returns:
        bool [V, b, columns]; entry (v, i, k) is whether column k is view v of image i.
    """
    total = batch * replica.count()
    place = replica.index() * batch + tf.range(batch)
    columns_of = tf.range(views)[:, None] * total + place[None, :]
    return tf.range(columns)[None, None, :] == columns_of[:, :, None]


def multi_view_nt_xent(
    anchors: tf.Tensor,
    candidates: tf.Tensor,
    *,
    temperature: float,
    attracted: tf.Tensor | None = None,
    eliminated: tf.Tensor | None = None,
) -> tf.Tensor:
    """Returns the contrastive loss of V views of every image.

    The cross-entropy of picking an anchor's positives among all candidates but the
    anchor itself, averaged over its positives:

        l(i, a) = -1/|P| sum over p in P of log softmax(z . z_k / t)[p]
        L = 2/V sum over a of the mean over i of l(i, a)

    P holds the other V - 1 views of image i and what is attracted to it. With V = 2 and
    nothing attracted or eliminated this is NT-Xent (Chen et al. 2020, eq. 1), both
    directions added; with `attracted` it is false negative attraction and with
    `eliminated` false negative elimination (Huynh et al. 2022, eq. 4 and 3).

    Args:
        anchors: float [V, b, D], this replica's views, rows of unit length.
        candidates: float [columns, D], rows of unit length or zero; the first V * B
            are the global batch, view-major.
        temperature: divides the similarities; positive.
        attracted: bool [b, columns], further positives of each image; they stay in the
            denominator.
        eliminated: bool [b, columns], candidates that leave an image's denominator.

    Returns:
        float [], the mean over this replica's images.
    """
    views, batch = anchors.shape[0], anchors.shape[1]
    logits = tf.einsum("vbd,kd->vbk", anchors, candidates) / temperature
    own = own_columns(views=views, batch=batch, columns=candidates.shape[0])
    positive = tf.reduce_any(own, axis=0)[None] & ~own
    if attracted is not None:
        positive |= attracted[None]
    left_out = own if eliminated is None else own | eliminated[None]
    # Large enough that its exponential is 0, small enough to have no infinity near it.
    masked = tf.where(left_out, tf.constant(-1e9, logits.dtype), logits)
    positive = tf.cast(positive, logits.dtype)
    mean_positive = tf.reduce_sum(positive * logits, 2) / tf.reduce_sum(positive, 2)
    loss = tf.reduce_logsumexp(masked, axis=2) - mean_positive
    return 2.0 * tf.reduce_mean(loss)
