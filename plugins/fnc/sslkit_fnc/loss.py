"""The contrastive loss with false negatives found and cancelled."""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from sslkit.objectives import multi_view_nt_xent, own_columns
from sslkit_fnc.detection import detect, similarity_scores


class Cancellation(NamedTuple):
    """A loss, and what was cancelled in it."""

    loss: tf.Tensor
    """float []."""
    detected: tf.Tensor
    """bool [b, columns], the false negatives of each image."""


def cancelled_nt_xent(
    anchors: tf.Tensor,
    references: tf.Tensor,
    candidates: tf.Tensor,
    *,
    temperature: float,
    false_negatives: str = "attract",
    topk: int | None = 10,
    threshold: float | None = 0.7,
    aggregate: str = "max",
) -> Cancellation:
    """Returns the FNC loss of this replica's images (Huynh et al. 2022, section 3).

    Args:
        anchors: float [V, b, D], online embeddings, rows of unit length.
        references: float [V, b, D], the embeddings whose likeness to the candidates is
            scored: the anchors themselves, or the momentum encoder's.
        candidates: float [columns, D]; the first V * B rows are the global batch,
            view-major, in the embedding of `references`.
        temperature: divides cosine similarities.
        false_negatives: `attract`, `eliminate` or `ignore`.
        topk: see `detect`.
        threshold: see `detect`.
        aggregate: see `similarity_scores`.
    """
    views, batch = anchors.shape[0], anchors.shape[1]
    own = own_columns(views=views, batch=batch, columns=candidates.shape[0])
    # A choice has no gradient; stopping it here saves the backward pass the attempt.
    scores = similarity_scores(
        tf.stop_gradient(references),
        tf.stop_gradient(candidates),
        aggregate=aggregate,
    )
    detected = detect(
        scores, tf.reduce_any(own, axis=0), topk=topk, threshold=threshold
    )
    loss = multi_view_nt_xent(
        anchors,
        candidates,
        temperature=temperature,
        attracted=detected if false_negatives == "attract" else None,
        eliminated=detected if false_negatives == "eliminate" else None,
    )
    return Cancellation(loss, detected)
