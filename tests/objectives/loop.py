"""The contrastive loss written out as loops over numbers, in float64."""

from __future__ import annotations

import numpy as np


def unit(rng, *shape):
    rows = rng.normal(size=shape)
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def loss(
    anchors, candidates, *, temperature, attracted=(), eliminated=(), written=None
):
    """Returns the loss of a single replica with the whole batch.

    Args:
        anchors: [V, b, D].
        candidates: [columns, D]; row v * b + i is view v of image i.
        temperature: divides similarities.
        attracted: image -> columns that are positives too.
        eliminated: image -> columns that are removed from the denominator.
        written: columns in use; None for all.
    """
    views, batch, _ = anchors.shape
    columns = range(len(candidates) if written is None else written)
    total = 0.0
    for a in range(views):
        for i in range(batch):
            own = [v * batch + i for v in range(views)]
            more = attracted[i] if len(attracted) else []
            gone = eliminated[i] if len(eliminated) else []
            logits = candidates @ anchors[a, i] / temperature
            positives = [k for k in [*own, *more] if k != own[a]]
            rest = [k for k in columns if k != own[a] and k not in set(gone)]
            denominator = np.log(sum(np.exp(logits[k]) for k in rest))
            total += np.mean([denominator - logits[p] for p in positives]) / batch
    return 2 / views * total
