"""The weighted nearest-neighbour classifier, which has nothing to train."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from sslkit.api import (
    Accuracy,
    Evaluation,
    Features,
    PositiveFloat,
    PositiveInt,
    Score,
    UserError,
    accuracy,
    checked,
)

_BLOCK_ELEMENTS = 2**25
"""Similarities in memory at once: 128 MiB of float32."""


class KNN(Evaluation):
    """The weighted vote of nearest neighbours (Wu et al. 2018, arXiv:1805.01978).

    Each number of neighbours is a separate protocol; see `knn_accuracies`.

    Args:
        neighbours: numbers of neighbours that vote; a number that exceeds the bank's
            size is left out, or clipped if all do.
        temperature: divides cosine similarities in the vote's exponent.
    """

    @checked
    def __init__(
        self,
        *,
        neighbours: Sequence[PositiveInt] = (20, 200),
        temperature: PositiveFloat = 0.07,
    ) -> None:
        """Keeps the options."""
        if not neighbours:
            raise UserError(
                "kNN has no number of neighbours; give at least one, e.g. (20,)"
            )
        self._neighbours = tuple(dict.fromkeys(neighbours))
        self.temperature = temperature

    def measure(
        self, bank: Features, test: Features, *, classes: int, seed: int
    ) -> list[Score]:
        """Classifies by each number of neighbours; see `Evaluation`."""
        del seed
        bank_size = len(bank.label)
        # If several are given, those that exceed the bank are left out.
        fitting = [k for k in self._neighbours if k <= bank_size]
        numbers = fitting or self._neighbours[:1]
        temperature = self.temperature
        found = knn_accuracies(bank, test, neighbours=numbers, temperature=temperature)
        return [
            Score(
                knn_protocol(
                    neighbours=k, temperature=temperature, bank_size=bank_size
                ),
                one.numbers(classes=classes),
                bank_size,
                len(test.label),
            )
            for k, one in zip(numbers, found, strict=True)
        ]


def knn_accuracy(
    bank: Features, queries: Features, *, neighbours: int, temperature: float
) -> Accuracy:
    """Classifies with one number of neighbours; see `knn_accuracies`."""
    (found,) = knn_accuracies(
        bank, queries, neighbours=[neighbours], temperature=temperature
    )
    return found


def knn_accuracies(
    bank: Features,
    queries: Features,
    *,
    neighbours: Sequence[int],
    temperature: float,
) -> list[Accuracy]:
    """Classifies `queries` by their nearest neighbours in `bank`.

    Each of the `neighbours` most similar bank rows votes for its class with weight
    exp(cosine / temperature) (Wu et al. 2018, arXiv:1805.01978, section 3.4). Of
    equally similar rows, the earlier one counts as nearer; of classes with equal votes,
    the lower one wins. A class without a vote is not predicted, so with few neighbours
    top-5 may have fewer than five classes.

    Args:
        bank: labelled features of the training split.
        queries: labelled features of the test split.
        neighbours: votes per query, one number or several that share the search; at
            most the bank's size is used (see `used_neighbours`).
        temperature: divides cosine similarities; 0.07 in the paper.

    Returns:
        Top-1 and top-5 for each number of neighbours.

    Raises:
        UserError: if a row has no label, or a setting is out of range.
    """
    _check(bank, queries, temperature)
    used = [used_neighbours(number, len(bank.label)) for number in neighbours]
    classes = _classes(bank, queries)
    scores = np.empty((len(used), len(queries.label), classes), np.float32)
    for rows, values, places in _nearest(bank.features, queries.features, max(used)):
        labels = bank.label[places]
        for place, number in enumerate(used):
            scores[place, rows] = _votes(
                values[:, :number], labels[:, :number], classes, temperature
            )
    return [accuracy(one, queries.label) for one in scores]


class Classified(NamedTuple):
    """The votes for each query, and the rows that voted."""

    scores: np.ndarray
    """float32 [n, classes]: votes; -inf where no neighbour votes."""
    near: np.ndarray
    """int64 [n, k]: the rows of the bank that voted, the nearest first."""
    cosine: np.ndarray
    """float32 [n, k]: the cosine of each such row and the query."""


def classify(
    bank: Features, queries: Features, *, neighbours: int, temperature: float
) -> Classified:
    """Votes as `knn_accuracies` does, and returns which rows voted.

    Args:
        bank: labelled features.
        queries: labelled features.
        neighbours: votes per query; at most the bank's size is used.
        temperature: divides cosine similarities.

    Raises:
        UserError: as `knn_accuracies`.
    """
    _check(bank, queries, temperature)
    count = used_neighbours(neighbours, len(bank.label))
    near, cosine = nearest(bank.features, queries.features, count)
    classes = _classes(bank, queries)
    votes = _votes(cosine, bank.label[near], classes, temperature)
    return Classified(votes, near, cosine)


def nearest(
    bank: np.ndarray, queries: np.ndarray, count: int
) -> tuple[np.ndarray, np.ndarray]:
    """Finds the rows of a bank that are most similar to queries.

    Args:
        bank: float32 [m, dim].
        queries: float32 [n, dim].
        count: rows to find per query, at most m.

    Returns:
        int64 [n, count], the nearest first, and of equally near rows the earlier first;
        float32 [n, count], their cosines.
    """
    places = np.empty((len(queries), count), np.int64)
    cosines = np.empty((len(queries), count), np.float32)
    for rows, values, found in _nearest(bank, queries, count):
        cosines[rows], places[rows] = values, found
    return places, cosines


def used_neighbours(neighbours: int, bank_size: int) -> int:
    """Returns how many neighbours vote: `neighbours`, but at most the bank's size."""
    if neighbours < 1:
        raise UserError(f"kNN with {neighbours} neighbours; use 1 or more, e.g. 20")
    return min(neighbours, bank_size)


def knn_protocol(*, neighbours: int, temperature: float, bank_size: int) -> str:
    """Returns the protocol's name in reports, e.g. `kNN (k=20, T=0.07)`."""
    used = used_neighbours(neighbours, bank_size)
    clipped = f", clipped from {neighbours}" if used < neighbours else ""
    return f"kNN (k={used}{clipped}, T={temperature:g})"


def _check(bank: Features, queries: Features, temperature: float) -> None:
    if temperature <= 0:
        raise UserError(
            f"the kNN temperature is {temperature}; it must be above 0, e.g. 0.07"
        )
    for split, label in (("training", bank.label), ("test", queries.label)):
        missing = int(np.sum(label < 0))
        if missing:
            raise UserError(
                f"kNN needs labels, and {missing} of {len(label)} {split} examples "
                "have none; use a labelled data set"
            )


def _classes(bank: Features, queries: Features) -> int:
    return 1 + int(max(bank.label.max(), queries.label.max()))


def _nearest(
    bank: np.ndarray, queries: np.ndarray, count: int
) -> Iterator[tuple[slice, np.ndarray, np.ndarray]]:
    """Yields rows of the queries, the cosines of the nearest, and their indices."""
    bank_norm = np.maximum(np.linalg.norm(bank, axis=1), 1e-12)
    rows = max(1, _BLOCK_ELEMENTS // len(bank))
    for start in range(0, len(queries), rows):
        block = queries[start : start + rows]
        block = block / np.maximum(np.linalg.norm(block, axis=1, keepdims=True), 1e-12)
        # Dividing the products by the norms avoids a normalised copy of the bank.
        cosine = block @ bank.T
        cosine /= bank_norm
        near = tf.math.top_k(cosine, count)
        yield slice(start, start + rows), near.values.numpy(), near.indices.numpy()


def _votes(
    cosine: np.ndarray, label: np.ndarray, classes: int, temperature: float
) -> np.ndarray:
    """Returns float32 [rows, classes]; -inf where no neighbour votes."""
    # Only ratios matter. Relative to the nearest, no exponential overflows at a small
    # T.
    weight = np.exp((cosine - cosine[:, :1]).astype(np.float64) / temperature)
    rows = len(cosine)
    cell = (np.arange(rows)[:, None] * classes + label).ravel()
    total = np.bincount(cell, weight.ravel(), minlength=rows * classes)
    voted = np.bincount(cell, minlength=rows * classes) > 0
    return np.where(voted, total, -np.inf).reshape(rows, classes).astype(np.float32)
