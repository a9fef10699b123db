"""The contract of optimizers, which compute new weights and slots from gradients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import tensorflow as tf

__all__ = ["Moved", "Optimizer", "Weight"]


class Weight(NamedTuple):
    """One weight before an update, and all that its update needs."""

    value: tf.Tensor
    """The value before the update."""
    gradient: tf.Tensor
    """Shaped like `value`; the mean over the global batch."""
    slots: Mapping[str, tf.Tensor]
    """Slot name -> value, each shaped like `value`."""
    rate: tf.Tensor
    """float32 [], its learning rate in this step."""
    updates: tf.Tensor
    """int64 [], how often it was updated before: the run's step, unless the objective
    froze it at first (`Objective.frozen_steps`)."""


class Moved(NamedTuple):
    """One weight after an update."""

    value: tf.Tensor
    """The new value, in the same shape."""
    slots: Mapping[str, tf.Tensor]
    """Slot name -> new value, for all slots."""


class Optimizer:
    """Updates weights by gradients that are already averaged over replicas.

    Most optimizers update each weight separately and implement `update`. An optimizer
    that needs all weights at once, or the length of the run, implements `update_all`
    instead.
    """

    slots: Sequence[str] = ()
    """Names of the variables that are kept for each weight; they start at zero."""

    def check(self, paths: Sequence[str]) -> None:
        """Refuses options that do not fit the weights, before the first update.

        Args:
            paths: the names of all weights that the run trains, as passed to `update`.

        Raises:
            UserError: e.g. for an exclusion that matches no path.
        """
        del paths

    def update(
        self,
        weight: tf.Tensor,
        gradient: tf.Tensor,
        slots: Mapping[str, tf.Tensor],
        *,
        path: str,
        rate: tf.Tensor,
        step: tf.Tensor,
    ) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        """Returns the new value of one weight and of its slots.

        Args:
            weight: the value before the update.
            gradient: same shape; the mean over the global batch.
            slots: slot name -> value, shaped like `weight`.
            path: the weight's name, e.g. `encoder/stem/conv/kernel`, for exclusions.
            rate: float32 [], the learning rate of this weight in this step.
            step: int64 [], how often this weight was updated before.

        Raises:
            NotImplementedError: if the class implements `update_all` instead, or
                neither.
        """
        own = type(self)
        if own.update_all is Optimizer.update_all:
            raise NotImplementedError(
                f"{own.__name__} implements neither update nor update_all"
            )
        raise NotImplementedError(
            f"{own.__name__} updates all weights at once: call update_all"
        )

    def update_all(
        self, weights: Mapping[str, Weight], *, step: tf.Tensor, steps: int
    ) -> Mapping[str, Moved]:
        """Returns the new values of all weights and of their slots.

        The default calls `update` for each.

        Args:
            weights: path -> weight, for all weights that the run trains; for only one
                of them in the check before a run.
            step: int64 [], updates of the run done before this one.
            steps: updates of the whole run.

        Returns:
            Path -> the new values, for every weight that was given.
        """
        del step, steps
        return {
            path: Moved(
                *self.update(
                    weight.value,
                    weight.gradient,
                    weight.slots,
                    path=path,
                    rate=weight.rate,
                    step=weight.updates,
                )
            )
            for path, weight in weights.items()
        }
