"""Policies of detection: which candidates are taken for false negatives."""

from __future__ import annotations

import abc
from typing import TypeVar

import tensorflow as tf

from sslkit.errors import UserError
from sslkit.objectives import Computed, Listed, Scores, Selection
from sslkit_fnc.course import ALWAYS, Course, Moment, Shape

Count = TypeVar("Count", int, tf.Tensor)


class Detection(abc.ABC):
    """A policy that chooses the false negatives of each image by scores."""

    needs_labels: bool = False
    """Whether it uses labels."""
    needs_examples: bool = False
    """Whether it uses `Moment.indices`, the examples' indices in the training split."""

    @abc.abstractmethod
    def select(self, scores: Scores, moment: Moment = ALWAYS) -> Selection:
        """Returns the false negatives of this replica's images.

        A policy with state of its own is also a Keras layer. Its selection is not used
        before detection has begun.

        Args:
            scores: of all candidates, against these images.
            moment: the place in the run, and the images.
        """

    def describe(self) -> str:
        """Returns how it chooses, in words that can follow `takes`."""
        return f"what {type(self).__name__} takes"

    def check(self, *, candidates: int) -> None:
        """Refuses options that do not fit the number of candidates.

        Args:
            candidates: the most candidates of an image that show other images.

        Raises:
            UserError: with the number of candidates.
        """
        del candidates

    def most(self, candidates: int | None) -> int | None:
        """Returns the most false negatives of an image, if scores decide their number.

        Args:
            candidates: how many candidates show other images; None if not known.

        Returns:
            The number; None if it is not known, or if all images have the same number.
        """
        del candidates
        return None


class TopKThreshold(Detection):
    """The candidates that are among the highest scores and also exceed a threshold.

    Huynh et al. 2022, section 3.3. Equal scores are taken in the order of their
    columns.

    Args:
        topk: the most candidates; None for no limit.
        threshold: the score to exceed; None for no threshold.
        final_topk: the value of `topk` at the end of the run; in between, it is rounded
            to a whole number. None: `topk` does not change.
        final_threshold: the value of `threshold` at the end of the run, likewise.
        schedule: how both change.

    Raises:
        UserError: for a final value of an option that is None.
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

    Unlike with a threshold, the number of false negatives stays the same when scores
    change during training.

    Args:
        quantile: share of an image's candidates that are true negatives, in [0, 1);
            floor((1 - quantile) x candidates) are false negatives.
    """

    def __init__(self, *, quantile: float):
        """Keeps the option; see the class."""
        self._quantile = quantile

    def select(self, scores: Scores, moment: Moment = ALWAYS) -> Selection:
        """Implements `Detection.select`."""
        found, places = scores.best(tail(self._quantile, scores.others))
        if not isinstance(scores.others_written, int):
            # A bank that is not full yet has fewer candidates.
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
    """The candidates with the image's label, as a perfect detector would find.

    It is for measuring, not for learning without labels. Images without a label have no
    false negatives.
    """

    needs_labels = True

    def select(self, scores: Scores, moment: Moment = ALWAYS) -> Selection:
        """Implements `Detection.select`."""
        return scores.computed(scores.alike)

    def describe(self) -> str:
        """Implements `Detection.describe`."""
        return "all views of images with its label (oracle)"


def from_start(selected: Selection, moment: Moment) -> Selection:
    """Returns a policy's selection, which is empty before detection has begun.

    Args:
        selected: the policy's selection.
        moment: the place in the run.
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
    """Returns the number of candidates above a quantile.

    Args:
        quantile: in [0, 1).
        candidates: the number of all; int32 [] if it changes over time.
    """
    if isinstance(candidates, int):
        # A quantile of 0.9 of 100 leaves 10, in spite of the rounding of 1 - 0.9.
        return int((1 - quantile) * candidates + 1e-6)
    count = (1 - quantile) * tf.cast(candidates, tf.float32)
    return tf.cast(count + 1e-3, tf.int32)
