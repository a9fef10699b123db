"""The new_thing evaluation."""

from __future__ import annotations

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


class NewThing(Evaluation):
    """Classifies by the nearest class mean of a few labelled images.

    Snell et al. 2017 (arXiv:1703.05175, eq. 1), on frozen features. To be changed: what
    is measured, and the paper that it is from.

    Args:
        shots: labelled images per class.
    """

    @checked
    def __init__(self, *, shots: PositiveInt = 5) -> None:
        """Keeps the options."""
        self._shots = shots

    def measure(
        self, bank: Features, test: Features, *, classes: int, seed: int
    ) -> list[Score]:
        """Measures one representation.

        Args:
            bank: labelled features, float32 [n, dim]; some classes may be missing.
            test: labelled features, which are only scored.
            classes: the number of classes; labels are in [0, classes).
            seed: the seed of random choices.

        Returns:
            The scores: each has a name that says how it was measured, and numbers.

        Raises:
            UserError: if no class has enough images.
        """
        draw = np.random.default_rng(seed)
        scores = np.full((len(test.label), classes), -np.inf)
        used = 0
        for number in range(classes):
            members = np.flatnonzero(bank.label == number)
            if len(members) < self._shots:
                continue  # The class is never predicted.
            chosen = draw.choice(members, self._shots, replace=False)
            mean = bank.features[chosen].mean(axis=0)
            scores[:, number] = -np.linalg.norm(test.features - mean, axis=1)
            used += self._shots
        if not used:
            raise UserError(f"no class has {self._shots} images; lower shots")
        return [
            Score(
                f"new_thing ({self._shots} images per class)",
                accuracy(scores, test.label).numbers(classes=classes),
                used,
                len(test.label),
            )
        ]
