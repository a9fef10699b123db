"""Numbers about features that need no labels, to see whether an encoder collapsed.

They tell a collapsed encoder from one that is not, and follow a run over time. They do
not rank encoders of different kinds: a random projection has good numbers, and is
useless.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

_ROWS = 4096
"""Rows that are used: enough for stable numbers, few enough for one decomposition."""


class Health(NamedTuple):
    """Label-free numbers of one encoder on one split."""

    effective_rank: float
    """See `effective_rank`."""
    spread: float
    """See `spread`."""
    uniformity: float
    """See `uniformity`."""
    dim: int
    """Width of the features, the largest possible `effective_rank`."""
    examples: int
    """Rows on which the numbers were computed."""


def health(features: np.ndarray) -> Health:
    """Computes all numbers on at most 4096 rows, spaced evenly over the split.

    Args:
        features: float32 [n, dim], finite; `uniformity` needs at least two rows.
    """
    rows = np.unique(np.linspace(0, len(features) - 1, _ROWS).astype(np.int64))
    sample = features[rows].astype(np.float64)
    return Health(
        effective_rank=effective_rank(sample),
        spread=spread(sample),
        uniformity=uniformity(sample),
        dim=features.shape[1],
        examples=len(rows),
    )


def effective_rank(features: np.ndarray) -> float:
    """Returns RankMe: how many directions the features use, in effect.

    exp of the entropy of the singular values, each divided by their sum (Garrido et
    al. 2023, arXiv:2210.02885, eq. 1; features are not centred).

    How to read it: from 1 (all features on one line: collapse) to min(n, dim) (all
    directions used equally). Among runs of one recipe, a higher rank tends to go with
    better transfer. It cannot exceed the number of rows.

    Args:
        features: float [n, dim].

    Returns:
        A number in [1, min(n, dim)]; 1 for features that are all zero.
    """
    values = np.linalg.svd(features.astype(np.float64), compute_uv=False)
    if values[0] == 0:
        return 1.0
    share = values / values.sum()
    share = share[share > 0]
    return float(np.exp(-np.sum(share * np.log(share))))


def spread(features: np.ndarray) -> float:
    """Returns the standard deviation of unit features, scaled so that 1 is full.

    The mean over dimensions of the standard deviation of L2-normalised features,
    times sqrt(dim) (Chen and He 2021, arXiv:2011.10566, section 4.1).

    How to read it: 0 when all images have the same direction (collapse), about 1 when
    directions fill the sphere. Features after a ReLU are never negative, so they have a
    common mean and stay below 1; a fall towards 0 is the bad sign.

    Args:
        features: float [n, dim].

    Returns:
        A number in [0, 1].
    """
    unit = _unit(features)
    return float(unit.std(axis=0).mean() * np.sqrt(unit.shape[1]))


def uniformity(features: np.ndarray) -> float:
    """Returns how evenly unit features cover the sphere; lower is more even.

    log of the mean over pairs i != j of exp(-2 |u_i - u_j|^2) (Wang and Isola 2020,
    arXiv:2005.10242, eq. 2 with t = 2).

    How to read it: 0 when all features agree (collapse); about -4 when they fill a
    sphere of many dimensions, where two random directions are at right angles.

    Args:
        features: float [n, dim]; with n < 2 the result is 0.

    Returns:
        A number in [-8, 0].
    """
    unit = _unit(features)
    n = len(unit)
    if n < 2:
        return 0.0
    # |u - v|^2 = 2 - 2 u.v for unit rows.
    kernel = np.exp(4.0 * np.minimum(unit @ unit.T, 1.0) - 4.0)
    pairs = (kernel.sum() - np.trace(kernel)) / (n * (n - 1))
    return float(np.log(pairs))


def alignment(first: np.ndarray, second: np.ndarray) -> float:
    """Returns how far apart the unit features of two views of an image are.

    The mean over images of |u_i - v_i|^2 (Wang and Isola 2020, arXiv:2005.10242, eq. 1
    with alpha = 2).

    How to read it: 0 when the views of each image agree, which is also so for a
    collapsed encoder; 2 when they are no more similar than two random directions.

    Args:
        first: float [n, dim], of one view of each image.
        second: float [n, dim], of another view of the same images.

    Returns:
        A number in [0, 4].
    """
    apart = _unit(first) - _unit(second)
    return float(np.mean(np.sum(apart**2, axis=1)))


def cosine_gap(first: np.ndarray, second: np.ndarray) -> float:
    """Returns how much more alike two views of an image are than views of two images.

    It is the mean cosine of positive pairs minus the mean cosine of negative pairs.

    How to read it: this is what a contrastive loss learns. 0 when an image cannot be
    told from others; at most 1 if negatives are at right angles.

    Args:
        first: float [n, dim], of one view of each image; with n < 2 the result is 0.
        second: float [n, dim], of another view of the same images.

    Returns:
        A number in [-2, 2].
    """
    cosines = _unit(first) @ _unit(second).T
    n = len(cosines)
    if n < 2:
        return 0.0
    positive = np.trace(cosines)
    negative = (cosines.sum() - positive) / (n * (n - 1))
    return float(positive / n - negative)


def _unit(features: np.ndarray) -> np.ndarray:
    rows = features.astype(np.float64)
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
