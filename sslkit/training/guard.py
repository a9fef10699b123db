"""Refusing an update that is not finite, on the device and within the step.

A bad step is taken back as a whole: weights, slots, bank, momentum twin and moving
statistics are again what they were before it, and only the step counter moves on. So
the host, which learns of it up to a second later, has nothing to undo, and the next
steps of the same call start from good weights.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import keras
import tensorflow as tf

from sslkit import replica
from sslkit.training.state import TrainState

REFUSED = "refused"
"""The metric that tells whether and why a step was taken back; see `Guard.why`."""

_TOLD = -1


class Bad(NamedTuple):
    """The first thing in a step that was not finite."""

    part: str
    """`loss`, `gradient` or `update`; `told` if the step had to be left out."""
    path: str
    """The path of the weight whose gradient or update it is; empty otherwise."""

    def __str__(self) -> str:
        """Returns it in words."""
        if self.part == "loss":
            return "the loss"
        return f"the {self.part} of {self.path}"


class Guard:
    """Checks the steps of a run, and takes back those that are not finite.

    Three things are checked as the step computes them: the loss; the gradients, by the
    sums of squares that their norm needs anyway, in the order of the backward pass; and
    the new weights and slots, by their sums. Values are put back in one branch of the
    program, so a good step costs only these checks.

    Args:
        state: what a step moves.
        leave_out: int64 [n], steps that are left out in any case, as the number of
            updates done after them; unused places are 0. None to leave out none.
    """

    def __init__(self, state: TrainState, leave_out: tf.Variable | None = None):
        """Keeps the options; see the class."""
        self._state = state
        self._leave_out = leave_out
        self._held = [v for v in state.table.values() if v is not state.step]
        self._backward = list(reversed(state.trainable))

    def before(self) -> list[tf.Tensor]:
        """Returns the values of all that a step changes; called when it begins."""
        return [tf.convert_to_tensor(variable.value) for variable in self._held]

    def settle(
        self,
        before: Sequence[tf.Tensor],
        *,
        loss: tf.Tensor,
        squares: Sequence[tf.Tensor],
        step: tf.Tensor,
    ) -> tf.Tensor:
        """Takes the step back if it is refused; called when it ends.

        Args:
            before: what `before` returned.
            loss: [], the mean over the global batch.
            squares: [] each, the sum of squares of each gradient, which is not finite
                if the gradient is not; in the order of `TrainState.trainable`.
            step: int64 [], updates done before this one.

        Returns:
            float32 [], 0 for a step that stands; otherwise a code that `why` explains.
        """
        numbers = [loss, *reversed(squares)]
        for path in self._backward:
            moved = [self._state.trainable[path], *self._state.slots[path].values()]
            sums = [tf.reduce_sum(tf.convert_to_tensor(v.value)) for v in moved]
            numbers.append(tf.add_n(sums))
        bad = ~tf.math.is_finite(tf.stack([tf.cast(n, tf.float32) for n in numbers]))
        first = tf.argmax(tf.cast(bad, tf.int32), output_type=tf.int32) + 1
        why = tf.where(tf.reduce_any(bad), first, 0)
        if self._leave_out is not None:
            told = tf.reduce_any(tf.equal(self._leave_out, step + 1))
            why = tf.where(told, _TOLD, why)
        _put_back(self._held, before, unless=tf.equal(why, 0))
        return tf.cast(why, tf.float32)

    def why(self, values: Mapping[str, float]) -> Bad | None:
        """Returns what was wrong with a step.

        Args:
            values: its metrics.

        Returns:
            None for a step that stands.
        """
        number = int(values[REFUSED])
        if number == 0:
            return None
        if number == _TOLD:
            return Bad("told", "")
        if number == 1:
            return Bad("loss", "")
        part, place = divmod(number - 2, len(self._backward))
        return Bad(("gradient", "update")[part], self._backward[place])


def _put_back(
    variables: Sequence[keras.Variable],
    values: Sequence[tf.Tensor],
    *,
    unless: tf.Tensor,
) -> None:
    """Sets variables to their earlier values, unless the step is good."""
    if replica.count() > 1:
        # TensorFlow does not let replicas assign to variables within a branch.
        now = [tf.convert_to_tensor(variable.value) for variable in variables]
        kept = [
            tf.where(unless, new, old) for new, old in zip(now, values, strict=True)
        ]
        replica.assign(variables, kept)
        return

    def put_back() -> tf.Tensor:
        replica.assign(variables, values)
        return tf.constant(True)

    tf.cond(unless, lambda: tf.constant(False), put_back)
