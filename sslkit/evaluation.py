"""The contract of evaluations: what the features of a frozen encoder are good for."""

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
"""What a row of `result.json` says beside its numbers."""


@dataclasses.dataclass(frozen=True)
class Features:
    """The features of one split, row by row."""

    features: np.ndarray
    """float32 [n, dim]."""
    label: np.ndarray
    """int32 [n]; -1 where the source has no label."""
    index: np.ndarray
    """int64 [n], the example's place in its source."""

    def labelled(self) -> Features:
        """Returns the rows that have a label.

        Raises:
            UserError: if none has.
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
    """Shares of examples that are classified right, in [0, 1]."""

    top1: float
    """The right class has the highest score."""
    top5: float
    """The right class is among the five highest; trivial with five classes or fewer."""

    def numbers(self, *, classes: int) -> dict[str, float]:
        """Returns them by name, for a `Score`.

        Args:
            classes: of the data; with five or fewer there is no `top5`.
        """
        return self._asdict() if classes > 5 else {"top1": self.top1}


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


@dataclasses.dataclass(frozen=True)
class Score:
    """What an evaluation found by one protocol."""

    protocol: str
    """One line that says what the numbers mean, settings included, such as
    `kNN (k=20, T=0.07)`. No two scores of a report share one."""
    numbers: Mapping[str, float]
    """Name -> finite number. The first is what encoders are compared by. `top1` and
    `top5` are shares in [0, 1]; the core shows them in percent."""
    n_train: int
    """Examples of the bank that it used; 0 if none."""
    n_test: int
    """Examples that were scored."""
    detail: str = ""
    """Settings that were chosen on the way, such as the strength of L2."""


class Evaluation(abc.ABC):
    """A way to measure a frozen encoder by images with labels.

    The core encodes the images, once for all evaluations of a recipe, and asks each of
    the trained encoder and then of the baselines. Whatever is drawn is a function of
    `seed`. The arrays are shared with other evaluations, and read-only.

    Before a run each is tried on a few made-up features of ten classes, so that a bug
    does not show up hours later.
    """

    reads: Reads = "features"
    """What it is given: the encoder's features, of a bank and of what is scored; or the
    logits of the objective's own classifier, of what is scored alone, where there is
    one."""

    def check(self) -> None:
        """Refuses to measure, before the run begins.

        Raises:
            UserError: for what the user can mend, such as a package to install.
        """
        return None

    @abc.abstractmethod
    def measure(
        self, bank: Features, test: Features, *, classes: int, seed: int
    ) -> Sequence[Score]:
        """Measures one representation.

        Args:
            bank: all of it labelled, in a fixed mixed order; what may be learned from.
                Some classes may be missing. Without rows where logits are read.
            test: all of it labelled; what is scored. Nothing may be chosen by it.
            classes: of the data; labels are in [0, classes).
            seed: the run's.

        Returns:
            A score for each protocol, the same ones each time.

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
    """Returns a protocol's name as curves and tables spell it."""
    return re.sub(r"[^A-Za-z0-9.]+", "_", text).strip("_")
