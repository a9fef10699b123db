"""The contract of schedules, which give the learning rate of each step."""

from __future__ import annotations

import abc

import tensorflow as tf

__all__ = ["Schedule"]


class Schedule(abc.ABC):
    """The learning rate as a function of the step."""

    @abc.abstractmethod
    def rate(
        self, step: tf.Tensor, *, steps: int, batch_size: int, examples: int
    ) -> tf.Tensor:
        """Returns the learning rate, float32 [].

        Args:
            step: int64 [], optimizer updates done so far.
            steps: updates of the whole run.
            batch_size: the global batch.
            examples: examples in the training split, so that schedules can have lengths
                in epochs instead of steps.
        """

    def describe(self, *, steps: int, batch_size: int, examples: int) -> str:
        """Returns the course of the rate in words, for the log.

        Args:
            steps: updates of the whole run.
            batch_size: the global batch.
            examples: examples in the training split.
        """
        places = {"at first": 0, "halfway": steps // 2, "at last": steps - 1}
        rates = {
            place: self.rate(
                tf.constant(step, tf.int64),
                steps=steps,
                batch_size=batch_size,
                examples=examples,
            )
            for place, step in places.items()
        }
        return ", ".join(f"{float(rate):.4g} {place}" for place, rate in rates.items())
