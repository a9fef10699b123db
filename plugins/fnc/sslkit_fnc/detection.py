"""Which candidates are taken for false negatives: one policy a class."""

from __future__ import annotations

import abc
from typing import Literal

import tensorflow as tf

from sslkit.errors import UserError
from sslkit.objectives import Listed, Scores, Selection


class Detection(abc.ABC):
    """A policy that picks the false negatives of each image by its scores."""

    needs_labels: bool = False
    """Whether it looks at labels."""

    @abc.abstractmethod
    def select(self, scores: Scores) -> Selection:
        """Returns the false negatives of this replica's images.

        Args:
            scores: of all candidates, against these images.
        """

    def check(self, *, candidates: int) -> None:
        """Refuses what no image can have.

        Args:
            candidates: how many an image has that show other images, at most.

        Raises:
            UserError: saying what there is.
        """
        del candidates

    def most(self, candidates: int | None) -> int | None:
        """Returns how many an image has at most, where the scores decide how many.

        Args:
            candidates: how many it has that show other images; None if not known.

        Returns:
            None where it is not known, or all images have the same number.
        """
        del candidates
        return None


class TopKThreshold(Detection):
    """The candidates among the highest scores that also exceed a threshold.

    Huynh et al. 2022, section 3.3. Equal scores are taken in the order of their
    columns.

    Args:
        topk: how many candidates at most; None for no limit.
        threshold: the score to exceed; None for no threshold.
    """

    def __init__(self, *, topk: int | None, threshold: float | None):
        """Keeps the options; see the class."""
        self._topk = topk
        self._threshold = threshold

    def select(self, scores: Scores) -> Selection:
        """Implements `Detection.select`."""
        if self._topk is None:
            if self._threshold is None:
                return scores.computed(scores.candidate)
            return scores.computed(lambda columns: scores.of(columns) > self._threshold)
        found, places = scores.best(self._topk)
        if self._threshold is not None:
            places = tf.where(found > self._threshold, places, -1)
        return Listed(places, columns=scores.columns, block=scores.block)

    def check(self, *, candidates: int) -> None:
        """Implements `Detection.check`."""
        if self._topk is not None and self._topk > candidates:
            raise UserError(
                f"fnc: topk is {self._topk}, and an image has only {candidates} "
                "candidates. Lower topk, or raise the batch or the bank."
            )

    def most(self, candidates: int | None) -> int | None:
        """Implements `Detection.most`."""
        if self._threshold is None:
            return None
        return candidates if self._topk is None else self._topk


class Quantile(Detection):
    """The candidates in the upper tail of an image's own scores.

    Unlike a threshold it keeps its rate as the scores drift during training.

    Args:
        quantile: share of an image's candidates that are true negatives, in [0, 1);
            floor((1 - quantile) x candidates) are false ones.
    """

    def __init__(self, *, quantile: float):
        """Keeps the option; see the class."""
        self._quantile = quantile

    def _count(self, candidates: int) -> int:
        # 0.9 of 100 leaves 10, whatever 1 - 0.9 is in binary.
        return int((1 - self._quantile) * candidates + 1e-6)

    def select(self, scores: Scores) -> Selection:
        """Implements `Detection.select`."""
        found, places = scores.best(self._count(scores.others))
        if not isinstance(scores.others_written, int):
            # A bank that is still filling has fewer.
            count = (1 - self._quantile) * tf.cast(scores.others_written, tf.float32)
            rank = tf.range(found.shape[1])
            places = tf.where(rank < tf.cast(count + 1e-3, tf.int32), places, -1)
        return Listed(places, columns=scores.columns, block=scores.block)

    def check(self, *, candidates: int) -> None:
        """Implements `Detection.check`."""
        if not self._count(candidates):
            raise UserError(
                f"fnc: quantile is {self._quantile}, which leaves none of the "
                f"{candidates} candidates of an image. Lower it."
            )


class Oracle(Detection):
    """The candidates that have the image's label: what a perfect detector finds.

    For measuring, not for learning without labels. Images without a label have none.
    """

    needs_labels = True

    def select(self, scores: Scores) -> Selection:
        """Implements `Detection.select`."""
        return scores.computed(scores.alike)


def detection_policy(
    name: Literal["topk", "quantile", "oracle"],
    *,
    topk: int | None,
    threshold: float | None,
    quantile: float,
) -> Detection:
    """Makes the policy that a recipe names.

    Args:
        name: `topk`, `quantile` or `oracle`.
        topk: see `TopKThreshold`.
        threshold: see `TopKThreshold`.
        quantile: see `Quantile`.
    """
    if name == "topk":
        return TopKThreshold(topk=topk, threshold=threshold)
    if name == "quantile":
        return Quantile(quantile=quantile)
    return Oracle()
