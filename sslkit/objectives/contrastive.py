"""The contrastive loss for any number of views, whole or in blocks of columns."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

from sslkit import replica
from sslkit.objectives.blocks import fold, fold_and_stack, take
from sslkit.objectives.layout import own_columns
from sslkit.objectives.selection import Selection

# Its exponential is 0, and sums with it stay finite.
_MASKED = -1e9


def multi_view_nt_xent(
    anchors: tf.Tensor,
    candidates: tf.Tensor,
    *,
    temperature: float,
    attracted: Selection | None = None,
    eliminated: Selection | None = None,
    written: tf.Tensor | None = None,
    through_candidates: bool = True,
    block: int | None = None,
) -> tf.Tensor:
    """Returns the contrastive loss of V views of every image.

    It is the cross-entropy of picking an anchor's positives among all candidates except
    the anchor itself, averaged over its positives:

        l(i, a) = -1/|P| sum over p in P of log softmax(z . z_k / t)[p]
        L = 2/V sum over a of the mean over i of l(i, a)

    P holds the other V - 1 views of image i and the candidates that are attracted to
    it. With V = 2 and nothing attracted or eliminated this is NT-Xent (Chen et al.
    2020, eq. 1), both directions added; with `attracted` it is false negative
    attraction, and with `eliminated` it is false negative elimination (Huynh et al.
    2022, eq. 4 and 3).

    In blocks, neither this nor its gradient keeps more than V * b x `block`
    similarities in memory: the logarithm of the denominator is updated block by block,
    and the backward pass computes the similarities again. The result is the same up to
    rounding.

    Args:
        anchors: float [V, b, D], this replica's views, rows of unit length.
        candidates: float [columns, D], rows of unit length or zero; the first V * B
            are the global batch, view-major.
        temperature: divides the similarities; positive.
        attracted: further positives of each image; they stay in the denominator.
        eliminated: candidates that are removed from an image's denominator.
        written: int32 [], how many candidates there are so far, at least V * B; later
            columns are not candidates yet. None for all.
        through_candidates: whether a gradient flows through the candidates.
        block: columns handled at once; None for all of them. See `block_size`.

    Returns:
        float [], the mean over this replica's images.

    Examples:
        >>> first = tf.constant([[1.0, 0.0], [0.0, 1.0]])  # two images
        >>> anchors = tf.stack([first, first])  # two equal views of each
        >>> candidates = tf.reshape(anchors, [4, 2])
        >>> loss = multi_view_nt_xent(anchors, candidates, temperature=0.1)
        >>> print(f"{loss:.1e}")
        1.8e-04
    """
    own = own_columns(views=anchors.shape[0], batch=anchors.shape[1])
    if not through_candidates:
        candidates = tf.stop_gradient(candidates)
    outside = _Outside(own, candidates.shape[0], eliminated, written)
    scaled = anchors / temperature
    if block is None:
        loss = _whole(scaled, candidates, own, outside, attracted)
    else:
        loss = _streamed_logsumexp(
            scaled, candidates, outside, through_candidates, block
        ) - _mean_positive(scaled, candidates, own, attracted)
    return 2.0 * tf.reduce_mean(loss)


def info_nce(queries: tf.Tensor, keys: tf.Tensor, *, temperature: float) -> tf.Tensor:
    """Returns the cross-entropy of picking each query's own key from the batch's keys.

        -log(exp(q . k+ / t) / sum over k of exp(q . k / t))

    van den Oord et al. 2018 (arXiv:1807.03748, eq. 4), averaged over queries.

    Args:
        queries: float [b, D], one per image of this replica, of unit length.
        keys: float [b, D], likewise; the keys of the other replicas are added to them,
            with gradients.
        temperature: divides the similarities; positive.

    Returns:
        float [], the mean over this replica's images.

    Examples:
        >>> queries = tf.constant([[1.0, 0.0], [0.0, 1.0]])
        >>> print(f"{info_nce(queries, queries, temperature=1.0):.4f}")
        0.3133
        >>> print(f"{info_nce(queries, queries[::-1], temperature=1.0):.4f}")
        1.3133
    """
    everyone = replica.gather(keys)
    logits = tf.matmul(queries, everyone, transpose_b=True) / temperature
    own = own_columns(views=1, batch=queries.shape[0])[0]
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=own, logits=logits)
    return tf.reduce_mean(losses)


class _Outside:
    """The candidates that an anchor's denominator leaves out."""

    def __init__(
        self,
        own: tf.Tensor,
        columns: int,
        eliminated: Selection | None,
        written: tf.Tensor | None,
    ):
        self._own = own
        self._columns = columns
        self._eliminated = eliminated
        self._written = written

    def mask(self, columns: tf.Tensor) -> tf.Tensor:
        """Returns bool [V, b, n] for columns, int32 [n]."""
        out = columns == self._own[:, :, None]
        if self._eliminated is not None:
            out |= self._eliminated.mask(columns)[None]
        if self._written is not None:
            out |= columns >= self._written
        if self._columns % columns.shape[0]:
            out |= columns >= self._columns
        return out


def _whole(
    anchors: tf.Tensor,
    candidates: tf.Tensor,
    own: tf.Tensor,
    outside: _Outside,
    attracted: Selection | None,
) -> tf.Tensor:
    """Returns each anchor's loss from the matrix of all similarities, float [V, b]."""
    logits = tf.einsum("vbd,kd->vbk", anchors, candidates)
    columns = tf.range(candidates.shape[0])
    left_out = outside.mask(columns)
    self_column = columns == own[:, :, None]
    positive = tf.reduce_any(self_column, axis=0)[None] & ~self_column
    if attracted is not None:
        positive |= attracted.mask(columns)[None]
    masked = tf.where(left_out, tf.constant(_MASKED, logits.dtype), logits)
    positive = tf.cast(positive, logits.dtype)
    mean_positive = tf.reduce_sum(positive * logits, 2) / tf.reduce_sum(positive, 2)
    return tf.reduce_logsumexp(masked, axis=2) - mean_positive


def _mean_positive(
    anchors: tf.Tensor,
    candidates: tf.Tensor,
    own: tf.Tensor,
    attracted: Selection | None,
) -> tf.Tensor:
    """Returns the mean logit of each anchor's positives, float [V, b].

    It is the similarity to the mean of the positives, which needs no matrix.
    """
    views = tf.gather(candidates, own)
    total, count = tf.reduce_sum(views, axis=0)[None] - views, views.shape[0] - 1.0
    if attracted is not None:
        total += attracted.sum(candidates)[None]
        count += tf.cast(attracted.sizes()[0], total.dtype)
    return tf.reduce_sum(anchors * total, axis=2) / count


def _streamed_logsumexp(
    anchors: tf.Tensor,
    candidates: tf.Tensor,
    outside: _Outside,
    through_candidates: bool,
    block: int,
) -> tf.Tensor:
    """Returns the logarithms of the denominators, float [V, b], in blocks."""
    shape, columns = anchors.shape, candidates.shape[0]
    flat = [shape[0] * shape[1], shape[2]]

    @tf.custom_gradient
    def logsumexp(
        anchors: tf.Tensor, candidates: tf.Tensor
    ) -> tuple[tf.Tensor, Callable]:
        # Everything in here is differentiated by the gradient given below only.
        z = tf.reshape(tf.stop_gradient(anchors), flat)
        c = tf.stop_gradient(candidates)
        masked = tf.constant(_MASKED, z.dtype)

        def logits(columns: tf.Tensor, rows: tf.Tensor) -> tf.Tensor:
            mask = tf.reshape(outside.mask(columns), [flat[0], -1])
            return tf.where(mask, masked, tf.matmul(z, rows, transpose_b=True))

        def forward(
            columns: tf.Tensor, top: tf.Tensor, total: tf.Tensor
        ) -> list[tf.Tensor]:
            x = logits(columns, take(c, columns))
            new_top = tf.maximum(top, tf.reduce_max(x, axis=1))
            term = tf.reduce_sum(tf.exp(x - new_top[:, None]), axis=1)
            return [new_top, total * tf.exp(top - new_top) + term]

        start = [tf.fill([flat[0]], masked), tf.zeros([flat[0]], z.dtype)]
        top, total = fold(forward, start, columns=columns, block=block)
        result = top + tf.math.log(total)

        def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            weight = tf.reshape(upstream, [flat[0], 1])

            def share(columns: tf.Tensor, rows: tf.Tensor) -> tf.Tensor:
                return tf.exp(logits(columns, rows) - result[:, None])

            def one(columns: tf.Tensor, dz: tf.Tensor) -> list[tf.Tensor]:
                rows = take(c, columns)
                return [dz + share(columns, rows) @ rows]

            def both(
                columns: tf.Tensor, dz: tf.Tensor
            ) -> tuple[list[tf.Tensor], tf.Tensor]:
                rows = take(c, columns)
                p = share(columns, rows)
                return [dz + p @ rows], tf.matmul(p, weight * z, transpose_a=True)

            dz, dc = tf.zeros_like(z), None
            if through_candidates:
                (dz,), dc = fold_and_stack(
                    both, [dz], like=c, columns=columns, block=block
                )
            else:
                (dz,) = fold(one, [dz], columns=columns, block=block)
            return tf.reshape(weight * dz, shape), dc

        return tf.reshape(result, shape[:2]), gradient

    return logsumexp(anchors, candidates)
