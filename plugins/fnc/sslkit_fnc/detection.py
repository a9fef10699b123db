"""Which candidates are taken for false negatives."""

from __future__ import annotations

import tensorflow as tf


def similarity_scores(
    references: tf.Tensor, candidates: tf.Tensor, *, aggregate: str
) -> tf.Tensor:
    """Scores candidates by their likeness to the views of each image.

    Huynh et al. 2022, section 3.3: the score of a candidate is the greatest (or the
    mean) cosine similarity over the views of the image.

    Args:
        references: float [V, b, D], the views of this replica's images.
        candidates: float [columns, D].
        aggregate: `max` or `mean`, over the views.

    Returns:
        float [b, columns].
    """
    if aggregate == "mean":
        return tf.einsum("bd,kd->bk", tf.reduce_mean(references, 0), candidates)
    return tf.reduce_max(tf.einsum("vbd,kd->vbk", references, candidates), axis=0)


def detect(
    scores: tf.Tensor, own: tf.Tensor, *, topk: int | None, threshold: float | None
) -> tf.Tensor:
    """Picks the false negatives of each image.

    Huynh et al. 2022, section 3.3: the candidates among the `topk` highest scores that
    also score above `threshold`. The image's own columns never count. Equal scores are
    taken in the order of their columns.

    Args:
        scores: float [b, columns].
        own: bool [b, columns], the columns that show the image itself.
        topk: how many candidates at most; None for no limit.
        threshold: the score to exceed; None for no threshold.

    Returns:
        bool [b, columns].
    """
    scores = tf.where(own, scores.dtype.min, scores)
    chosen = ~own
    if threshold is not None:
        chosen &= scores > threshold
    if topk is not None:
        rows, columns = scores.shape
        _, best = tf.math.top_k(scores, min(topk, columns))
        row = tf.repeat(tf.range(rows)[:, None], best.shape[1], axis=1)
        among = tf.scatter_nd(
            tf.stack([row, best], axis=-1), tf.ones_like(best), [rows, columns]
        )
        chosen &= among > 0
    return chosen
