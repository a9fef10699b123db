"""Adam."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import tensorflow as tf

from sslkit.api import (
    HalfOpenShare,
    NonNegativeFloat,
    Optimizer,
    PositiveFloat,
    checked,
)
from sslkit.optimize.exclusions import NORMALISATION, check_matches, given, matches


class Adam(Optimizer):
    """Adaptive moments (Kingma and Ba 2015, section 2, in its efficient form).

    Args:
        beta1: decay of the mean of gradients.
        beta2: decay of the mean of squared gradients.
        epsilon: added to the uncorrected root of the second moment ("epsilon hat").
        weight_decay: coefficient of the decay.
        decoupled: whether the weight shrinks directly by rate x decay (AdamW,
            Loshchilov and Hutter 2019) instead of the decay being added to the gradient
            (L2).
        no_decay: patterns of paths that get no weight decay.
    """

    slots = ("mean", "square")

    @checked
    def __init__(
        self,
        *,
        beta1: HalfOpenShare = 0.9,
        beta2: HalfOpenShare = 0.999,
        epsilon: PositiveFloat = 1e-8,
        weight_decay: NonNegativeFloat = 0.0,
        decoupled: bool = False,
        no_decay: Sequence[str] = (NORMALISATION,),
    ):
        """Keeps the options; see the class."""
        self._beta1 = beta1
        self._beta2 = beta2
        self._epsilon = epsilon
        self._weight_decay = weight_decay
        self._decoupled = decoupled
        self._no_decay = given("Adam: no_decay", no_decay)

    def check(self, paths: Sequence[str]) -> None:
        """Implements `Optimizer.check`."""
        check_matches("Adam: no_decay", self._no_decay, paths)

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
        """Implements `Optimizer.update`."""
        decay = 0.0 if matches(path, self._no_decay) else self._weight_decay
        if decay and not self._decoupled:
            gradient += decay * weight
        # Rounded once to the weight's precision, so that 1 - beta is the same in the
        # moments and in their corrections, where it cancels.
        beta1 = tf.constant(self._beta1, weight.dtype)
        beta2 = tf.constant(self._beta2, weight.dtype)
        mean = beta1 * slots["mean"] + (1 - beta1) * gradient
        square = beta2 * slots["square"] + (1 - beta2) * gradient**2
        count = tf.cast(step + 1, weight.dtype)
        corrected = rate * tf.sqrt(1 - beta2**count) / (1 - beta1**count)
        move = corrected * mean / (tf.sqrt(square) + self._epsilon)
        if decay and self._decoupled:
            move += rate * decay * weight
        return weight - move, {"mean": mean, "square": square}
