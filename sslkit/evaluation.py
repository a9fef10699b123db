"""The contract of evaluations, which measure the features of a frozen encoder."""

from __future__ import annotations

import abc
import dataclasses
import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np

from sslkit.errors import UserError

__all__ = [
    "Accuracy",
    "Evaluation",
    "Features",
    "Score",
    "accuracy",
    "numbers_of",
    "plain",
]

Reads = Literal["features", "logits"]

RESERVED = ("protocol", "representation", "n_train", "n_test", "detail")
"""Fields of a row of `result.json` that are not numbers of the evaluation."""


@dataclasses.dataclass(frozen=True)
class Features:
    """The features of one split, row by row."""

    features: np.ndarray
    """float32 [n, dim]."""
    label: np.ndarray
    """int32 [n]; -1 if the source has no label."""
    index: np.ndarray
    """int64 [n], the example's index in its source."""

    def labelled(self) -> Features:
        """Returns the rows that have a label.

        Raises:
            UserError: if no row has one.
        """
        kept = self.label >= 0
        if kept.all():
            return self
        if not kept.any():
            raise UserError(
                f"none of {len(kept):,} examples has a label; use a split that has, or "
                "more examples of it"
            )
        return Features(self.features[kept], self.label[kept], self.index[kept])


class Accuracy(NamedTuple):
    """Shares of examples that are classified correctly, in [0, 1]."""

    top1: float
    """The correct class has the highest score."""
    top5: float
    """The correct class is among the five highest; trivial with five or fewer
    classes."""

    def numbers(self, *, classes: int) -> dict[str, float]:
        """Returns them by name, for a `Score`.

        Args:
            classes: the number of classes; with five or fewer there is no `top5`.

        Examples:
            >>> Accuracy(top1=0.5, top5=0.9).numbers(classes=10)
            {'top1': 0.5, 'top5': 0.9}
            >>> Accuracy(top1=0.5, top5=1.0).numbers(classes=3)
            {'top1': 0.5}
        """
        return self._asdict() if classes > 5 else {"top1": self.top1}


def accuracy(scores: np.ndarray, labels: np.ndarray) -> Accuracy:
    """Counts how often the correct class ranks first, and among the first five.

    Of equal scores the lower class number ranks first. So an encoder that returns the
    same for every image gets only the share of one class.

    Args:
        scores: float [n, classes], higher is likelier; -inf means "not predicted at
            all" and never counts as correct.
        labels: int [n] in [0, classes).

    Returns:
        The two shares.

    Raises:
        ValueError: if a score is NaN, or there are no rows.

    Examples:
        >>> scores = np.array([[0.1, 0.9, 0.0], [0.5, 0.2, 0.3]])
        >>> accuracy(scores, np.array([1, 2])).top1
        0.5
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


@dataclasses.dataclass(frozen=True)
class Score:
    """The result of an evaluation with one protocol."""

    protocol: str
    """One line that says what the numbers mean, with the settings, such as `kNN (k=20,
    T=0.07)`. Each score of a report has a different protocol."""
    numbers: Mapping[str, float]
    """Name -> finite number. Encoders are compared by the first. `top1` and `top5` are
    shares in [0, 1]; the core shows them in percent."""
    n_train: int
    """Examples of the bank that it used; 0 if none."""
    n_test: int
    """Examples that were scored."""
    detail: str = ""
    """Settings that the evaluation has chosen, such as the strength of L2."""


class Evaluation(abc.ABC):
    """A way to measure a frozen encoder with labelled images.

    The core encodes the images once for all evaluations of a recipe. It calls each
    evaluation for the trained encoder and then for the baselines. Random numbers must
    depend only on `seed`. The arrays are shared with other evaluations, and read-only.

    Before a run, each evaluation is tried on a few synthetic features of ten classes,
    so that a bug is found at once and not hours later.
    """

    reads: Reads = "features"
    """What it reads: the encoder's features, of the bank and of the scored split; or
    the logits of the objective's own classifier, if there is one, of only the scored
    split."""

    def check(self) -> None:
        """Refuses to measure, before the run begins.

        Raises:
            UserError: for a problem that the user can solve, such as a missing package.
        """
        return None

    @abc.abstractmethod
    def measure(
        self, bank: Features, test: Features, *, classes: int, seed: int
    ) -> Sequence[Score]:
        """Measures one representation.

        Args:
            bank: the features that may be used to learn, all labelled, in a fixed mixed
                order. Some classes may be missing. It has no rows if logits are read.
            test: the features that are scored, all labelled. No setting may be chosen
                by them.
            classes: the number of classes; labels are in [0, classes).
            seed: the run's.

        Returns:
            A score per protocol; each time the same protocols.

        Raises:
            UserError: if these features cannot be measured, such as a bank with too
                few examples.
        """


def numbers_of(row: Mapping[str, Any]) -> dict[str, float]:
    """Returns the numbers of a row of `result.json`, by their names.

    Raises:
        TypeError: if one is not a number.
    """
    found = {}
    for name, value in row.items():
        if name in RESERVED:
            continue
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise TypeError(f"{name} is {value!r}, not a number")
        found[name] = float(value)
    return found


def plain(text: str) -> str:
    """Returns a protocol's name in the form for curves and tables."""
    return re.sub(r"[^A-Za-z0-9.]+", "_", text).strip("_")
