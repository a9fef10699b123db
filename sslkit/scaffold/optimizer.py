"""The new_thing optimizer."""

from __future__ import annotations

from collections.abc import Mapping

import tensorflow as tf

from sslkit.api import HalfOpenShare, Optimizer, checked


class NewThing(Optimizer):
    """Gradient descent with momentum (Polyak 1964).

    To be changed: the rule, with its equation, and the paper that it is from.

    Args:
        momentum: decay of the velocity.
    """

    slots = ("velocity",)
    """The state of each weight, zero at the start. There is no other state."""

    @checked
    def __init__(self, *, momentum: HalfOpenShare = 0.9) -> None:
        """Keeps the options; see the class."""
        self._momentum = momentum

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
        """Returns the new value of one weight and of its slots; see `Optimizer`."""
        velocity = self._momentum * slots["velocity"] + gradient
        return weight - rate * velocity, {"velocity": velocity}
