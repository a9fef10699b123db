"""How far a handful of labelled images per class goes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sslkit.api import (
    Evaluation,
    Features,
    PositiveInt,
    Score,
    UserError,
    accuracy,
    checked,
)
from sslkit.evaluate.linear import fit_lbfgs, standardise

__all__ = ["FewLabels"]


class FewLabels(Evaluation):
    """Logistic regression on frozen features, of a few labelled images per class.

    The images are drawn several times and the accuracies averaged, because which few
    they are matters as much as the features do. Features are standardised over the
    whole bank, which needs no labels. L2 has the weight 1 against the summed cross
    entropy: too few labels are left to choose it by.

    Args:
        labels: images per class, one score for each number.
        draws: how often the images are drawn.

    Raises:
        UserError: if `labels` is empty or has a number twice.
    """

    @checked
    def __init__(
        self, *, labels: Sequence[PositiveInt] = (1, 3, 10), draws: PositiveInt = 10
    ) -> None:
        """Keeps the options; see the class."""
        if not labels or len(set(labels)) < len(labels):
            raise UserError(
                f"FewLabels: labels is {tuple(labels)}; wanted different numbers of "
                "images per class, such as (1, 3, 10)."
            )
        self._labels = tuple(labels)
        self._draws = draws

    def measure(
        self, bank: Features, test: Features, *, classes: int, seed: int
    ) -> list[Score]:
        """Draws, fits and scores; see `Evaluation`."""
        present = np.unique(bank.label)
        if len(present) < 2:
            raise UserError(
                f"few_labels needs two classes or more, and all {len(bank.label)} "
                "labelled examples are of one; use more examples"
            )
        bank_x, test_x = standardise(bank.features, test.features)
        return [
            self._score(bank_x, bank.label, test_x, test.label, count, classes, seed)
            for count in self._labels
        ]

    def _score(
        self,
        x: np.ndarray,
        label: np.ndarray,
        test_x: np.ndarray,
        test_label: np.ndarray,
        count: int,
        classes: int,
        seed: int,
    ) -> Score:
        found = []
        for draw in range(self._draws):
            few = _drawn(label, count, (seed, count, draw))
            scores = next(
                fit_lbfgs(x[few], label[few], test_x, classes, [1 / len(few)])
            )
            found.append(accuracy(scores, test_label).numbers(classes=classes))
        sizes = np.bincount(label, minlength=classes)
        scarce = int(np.sum((sizes < count) & (sizes > 0)))
        spread = 100 * np.std([each["top1"] for each in found])
        return Score(
            f"few labels ({count} per class, mean of {self._draws} draws)",
            {name: float(np.mean([each[name] for each in found])) for name in found[0]},
            len(few),
            len(test_label),
            detail=f"deviation over draws {spread:.1f} %"
            + (f"; {scarce} class(es) with fewer" if scarce else ""),
        )


def _drawn(label: np.ndarray, count: int, seed: tuple[int, ...]) -> np.ndarray:
    """Returns the places of `count` examples per class, or of all that a class has."""
    random = np.random.default_rng(seed)
    return np.concatenate(
        [
            random.permutation(np.flatnonzero(label == number))[:count]
            for number in np.unique(label)
        ]
    )
