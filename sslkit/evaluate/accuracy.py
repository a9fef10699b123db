"""Top-1 and top-5 of class scores, with ties that nobody can win by luck."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Accuracy(NamedTuple):
    """Shares of examples that are classified right, in [0, 1]."""

    top1: float
    """The right class has the highest score."""
    top5: float
    """The right class is among the five highest; trivial with five classes or fewer."""


def accuracy(scores: np.ndarray, labels: np.ndarray) -> Accuracy:
    """Counts how often the right class ranks first, and among the first five.

    Of equal scores the lower class number ranks first, so an encoder that says the
    same of every image scores the share of one class and no more.

    Args:
        scores: float [n, classes], higher is likelier; -inf is "not predicted at all"
            and never counts as right.
        labels: int [n] in [0, classes).

    Returns:
        The two shares.

    Raises:
        ValueError: if a score is NaN, or there is no row.
    """
    if not len(scores):
        raise ValueError("accuracy of no examples")
    if np.isnan(scores).any():
        raise ValueError("accuracy of scores that are NaN")
    own = np.take_along_axis(scores, labels[:, None].astype(np.int64), axis=1)
    lower = np.arange(scores.shape[1])[None, :] < labels[:, None]
    rank = np.sum((scores > own) | ((scores == own) & lower), axis=1)
    predicted = own[:, 0] > -np.inf
    return Accuracy(
        top1=float(np.mean(predicted & (rank < 1))),
        top5=float(np.mean(predicted & (rank < 5))),
    )
