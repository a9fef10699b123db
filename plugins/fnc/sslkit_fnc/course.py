"""When detection begins in a run, and how its numbers change over the run."""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import tensorflow as tf

from sslkit.errors import UserError

Shape = Literal["linear", "cosine"]
"""How a number changes from its first to its last value: linearly, or along half a
cosine, which is slow at both ends."""


class Moment(NamedTuple):
    """The place of a batch in a run, and its images."""

    begun: tf.Tensor | None = None
    """bool [], whether detection has begun; None if it begins with the run."""
    done: tf.Tensor | None = None
    """float32 [], the progress from the beginning of detection to the end of the run,
    in [0, 1]; None if the length of the run is not known."""
    indices: tf.Tensor | None = None
    """int32 [b], see `Batch.index`."""
    examples: int | None = None
    """The number of examples in the training split."""


ALWAYS = Moment()
"""For a detection that begins with the run and does not change."""


class Start:
    """The epoch at which detection begins; earlier scores mean little.

    Args:
        epochs: how many epochs come before; it may be a fraction.
    """

    def __init__(self, epochs: float):
        """Keeps the option; see the class."""
        self._epochs = epochs

    def step(self, *, images: int, examples: int | None) -> int:
        """Returns the first update that detects.

        Args:
            images: in the global batch.
            examples: in the training split; None if not known.

        Raises:
            UserError: if epochs are counted and their length is not known.
        """
        if not self._epochs:
            return 0
        if examples is None:
            raise UserError(
                f"fnc: detection_start is {self._epochs:g} epochs and the number of "
                "examples is not known. Set `examples` of the objective."
            )
        return math.ceil(self._epochs * examples / images)

    def describe(self, *, images: int, examples: int | None, steps: int | None) -> str:
        """Returns when detection begins, in words; empty if with the run.

        Args:
            images: in the global batch.
            examples: in the training split; None if not known.
            steps: updates of the whole run; None if not known.
        """
        first = self.step(images=images, examples=examples)
        if not first:
            return ""
        if steps is not None and first >= steps:
            return f"from step {first:,} on, which is after the end of the run"
        return f"from step {first:,} on"

    def moment(
        self,
        step: tf.Tensor,
        *,
        images: int,
        examples: int | None,
        steps: int | None,
        indices: tf.Tensor | None,
    ) -> Moment:
        """Returns the place of an update in the run.

        Args:
            step: int64 [], updates done so far.
            images: in the global batch.
            examples: in the training split; None if not known.
            steps: updates of the whole run; None if not known.
            indices: int32 [b], see `Batch.index`.
        """
        first = self.step(images=images, examples=examples)
        begun = step >= first if first else None
        done = None
        if steps is not None:
            left = tf.cast(max(1, steps - first), tf.float32)
            done = tf.clip_by_value(tf.cast(step - first, tf.float32) / left, 0.0, 1.0)
        return Moment(begun, done, indices, examples)


class Course:
    """A number that changes from the start of detection to the end of the run.

    Args:
        first: its value at the start; None for no number at all.
        last: its value at the end; None for the first value throughout.
        shape: how it goes.
        option: the name of the option, for messages.
    """

    def __init__(
        self,
        first: float | None,
        last: float | None = None,
        *,
        shape: Shape = "linear",
        option: str,
    ):
        """Keeps the values; see the class.

        Raises:
            UserError: if there is a last value without a first.
        """
        if first is None and last is not None:
            raise UserError(
                f"fnc: final_{option} is {last} and {option} is None, so there is no "
                f"first value. Set {option}, or leave final_{option} out."
            )
        self.first = first
        self.last = None if last == first else last
        self._shape = shape
        self._option = option

    def __str__(self) -> str:
        """Returns the value in words: `5`, or `0.9 to 0.7` if it changes."""
        if self.first is None or self.last is None:
            return "none" if self.first is None else f"{self.first:g}"
        return f"{self.first:g} to {self.last:g}"

    @property
    def most(self) -> float | None:
        """The larger of the two values; None if there is none."""
        if self.first is None or self.last is None:
            return self.first
        return max(self.first, self.last)

    def at(self, moment: Moment) -> tf.Tensor | float | None:
        """Returns the value at a moment: a Python number if it does not change.

        Raises:
            UserError: if it changes and the length of the run is not known.
        """
        if self.first is None or self.last is None:
            return self.first
        if moment.done is None:
            raise UserError(
                f"fnc: final_{self._option} is {self.last} and the length of the run "
                "is not known. Set `steps` of the objective."
            )
        done = moment.done
        if self._shape == "cosine":
            done = 0.5 * (1.0 - tf.cos(math.pi * done))
        return self.first + (self.last - self.first) * done
