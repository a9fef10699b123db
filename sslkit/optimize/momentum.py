"""Stochastic gradient descent with momentum."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import tensorflow as tf

from sslkit.api import HalfOpenShare, NonNegativeFloat, Optimizer, checked
from sslkit.optimize.exclusions import NORMALISATION, check_matches, given, matches


class Momentum(Optimizer):
    """SGD with momentum, by default in Nesterov's form.

    Sutskever et al. 2013, in TensorFlow 1's form: the velocity is a decaying sum of
    gradients, and is multiplied by the learning rate.

    Args:
        momentum: decay of the velocity.
        nesterov: whether to use Nesterov's form, which looks one step ahead.
        weight_decay: L2 coefficient added to the gradient.
        no_decay: patterns of paths that get no weight decay.

    Examples:
        >>> plain = Momentum(momentum=0.0, nesterov=False)
        >>> one, slots = tf.constant([1.0]), {"momentum": tf.zeros(1)}
        >>> weight, slots = plain.update(one, one, slots, path="w", rate=0.5, step=0)
        >>> weight.numpy()
        array([0.5], dtype=float32)
    """

    slots = ("momentum",)

    @checked
    def __init__(
        self,
        *,
        momentum: HalfOpenShare = 0.9,
        nesterov: bool = True,
        weight_decay: NonNegativeFloat = 0.0,
        no_decay: Sequence[str] = (NORMALISATION,),
    ):
        """Keeps the options; see the class."""
        self._momentum = momentum
        self._nesterov = nesterov
        self._weight_decay = weight_decay
        self._no_decay = given("Momentum: no_decay", no_decay)

    def check(self, paths: Sequence[str]) -> None:
        """Implements `Optimizer.check`."""
        check_matches("Momentum: no_decay", self._no_decay, paths)

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
        if self._weight_decay and not matches(path, self._no_decay):
            gradient += self._weight_decay * weight
        velocity = self._momentum * slots["momentum"] + gradient
        move = self._momentum * velocity + gradient if self._nesterov else velocity
        return weight - rate * move, {"momentum": velocity}
