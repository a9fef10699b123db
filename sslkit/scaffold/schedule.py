"""The new_thing schedule."""

from __future__ import annotations

import tensorflow as tf

from sslkit.api import NonNegativeFloat, PositiveFloat, Schedule, checked


class NewThing(Schedule):
    """A learning rate that falls linearly.

    To be changed: the rate as a function of the step.

    Args:
        base: the rate at the start.
        last: the rate at the end of the run.
    """

    @checked
    def __init__(self, *, base: PositiveFloat, last: NonNegativeFloat = 0.0) -> None:
        """Keeps the options; see the class."""
        self._base = base
        self._last = last

    def rate(
        self, step: tf.Tensor, *, steps: int, batch_size: int, examples: int
    ) -> tf.Tensor:
        """Returns the learning rate at a step, float32 []; see `Schedule`."""
        done = tf.minimum(tf.cast(step, tf.float32) / steps, 1.0)
        return self._base + done * (self._last - self._base)
