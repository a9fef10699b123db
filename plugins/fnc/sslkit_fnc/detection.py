"""Which candidates are taken for false negatives: one policy a class."""

from __future__ import annotations

import abc
from typing import TypeVar

import tensorflow as tf

from sslkit.errors import UserError
from sslkit.objectives import Computed, Listed, Scores, Selection
from sslkit_fnc.course import ALWAYS, Course, Moment, Shape

Count = TypeVar("Count", int, tf.Tensor)


class Detection(abc.ABC):
    """A policy that picks the false negatives of each image by its scores."""

    needs_labels: bool = False
    """Whether it looks at labels."""
    needs_examples: bool = False
    """Whether it looks at `Moment.indices`: which examples of training these are."""

    @abc.abstractmethod
    def select(self, scores: Scores, moment: Moment = ALWAYS) -> Selection:
        """Returns the false negatives of this replica's images.

        A policy that keeps state of its own is a layer of Keras, too. What it selects
        before detection has begun is not used.

        Args:
            scores: of all candidates, against these images.
            moment: where in the run, and which images.
        """

    def describe(self) -> str:
        """Returns how it chooses, in words that follow `takes`."""
        return f"what {type(self).__name__} takes"

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
        final_topk: where `topk` goes to the end of the run; the nearest whole number on
            the way. None: it stays.
        final_threshold: likewise for `threshold`.
        schedule: how both go there.

    Raises:
        UserError: for a final value of what is None.
    """

    def __init__(
        self,
        *,
        topk: int | None,
        threshold: float | None,
        final_topk: int | None = None,
        final_threshold: float | None = None,
        schedule: Shape = "linear",
    ):
        """Keeps the options; see the class."""
        self._topk = Course(topk, final_topk, shape=schedule, option="topk")
        self._threshold = Course(
            threshold, final_threshold, shape=schedule, option="threshold"
        )

    def select(self, scores: Scores, moment: Moment = ALWAYS) -> Selection:
        """Implements `Detection.select`."""
        threshold = self._threshold.at(moment)
        if self._topk.most is None:
            if threshold is None:
                return scores.computed(scores.candidate)

            def above(columns: tf.Tensor) -> tf.Tensor:
                of = scores.of(columns)
                return of > tf.cast(threshold, of.dtype)

            return scores.computed(above)
        found, places = scores.best(int(self._topk.most))
        if threshold is not None:
            places = tf.where(found > tf.cast(threshold, found.dtype), places, -1)
        if self._topk.last is not None:
            count = tf.cast(tf.round(self._topk.at(moment)), tf.int32)
            places = tf.where(tf.range(found.shape[1]) < count, places, -1)
        return Listed(places, columns=scores.columns, block=scores.block)

    def describe(self) -> str:
        """Implements `Detection.describe`."""
        above = "" if self._threshold.most is None else f"above {self._threshold}"
        if self._topk.most is None:
            return f"all views {above}" if above else "all views"
        best = f"the {self._topk} views of the highest score"
        return f"{best}, where they are {above}" if above else best

    def check(self, *, candidates: int) -> None:
        """Implements `Detection.check`."""
        most = self._topk.most
        if most is not None and most > candidates:
            option = "topk" if most == self._topk.first else "final_topk"
            raise UserError(
                f"fnc: {option} is {most}, and an image has only {candidates} "
                f"candidates. Lower {option}, or raise the batch or the bank."
            )

    def most(self, candidates: int | None) -> int | None:
        """Implements `Detection.most`."""
        if self._threshold.first is None:
            return None
        return candidates if self._topk.most is None else int(self._topk.most)


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

    def select(self, scores: Scores, moment: Moment = ALWAYS) -> Selection:
        """Implements `Detection.select`."""
        found, places = scores.best(tail(self._quantile, scores.others))
        if not isinstance(scores.others_written, int):
            # A bank that is still filling has fewer.
            count = tail(self._quantile, scores.others_written)
            places = tf.where(tf.range(found.shape[1]) < count, places, -1)
        return Listed(places, columns=scores.columns, block=scores.block)

    def describe(self) -> str:
        """Implements `Detection.describe`."""
        return f"the views above the {self._quantile:g} quantile of the image's scores"

    def check(self, *, candidates: int) -> None:
        """Implements `Detection.check`."""
        if not tail(self._quantile, candidates):
            raise UserError(
                f"fnc: quantile is {self._quantile}, which leaves none of the "
                f"{candidates} candidates of an image. Lower it."
            )


class Oracle(Detection):
    """The candidates that have the image's label: what a perfect detector finds.

    For measuring, not for learning without labels. Images without a label have none.
    """

    needs_labels = True

    def select(self, scores: Scores, moment: Moment = ALWAYS) -> Selection:
        """Implements `Detection.select`."""
        return scores.computed(scores.alike)

    def describe(self) -> str:
        """Implements `Detection.describe`."""
        return "all views of images with its label (oracle)"


def from_start(selected: Selection, moment: Moment) -> Selection:
    """Returns what a policy selects, and nothing before detection has begun.

    Args:
        selected: by the policy.
        moment: where in the run.
    """
    begun = moment.begun
    if begun is None:
        return selected
    return Computed(
        lambda columns: selected.mask(columns) & begun,
        batch=selected.batch,
        columns=selected.columns,
        block=selected.block,
    )


def tail(quantile: float, candidates: Count) -> Count:
    """Returns how many of some candidates are above a quantile.

    Args:
        quantile: in [0, 1).
        candidates: how many there are; int32 [] where that changes.
    """
    if isinstance(candidates, int):
        # 0.9 of 100 leaves 10, whatever 1 - 0.9 is in binary.
        return int((1 - quantile) * candidates + 1e-6)
    count = (1 - quantile) * tf.cast(candidates, tf.float32)
    return tf.cast(count + 1e-3, tf.int32)
