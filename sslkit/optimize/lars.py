"""Layer-wise adaptive rate scaling."""

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
from sslkit.optimize.exclusions import (
    BIAS,
    CLASSIFIER,
    NORMALISATION,
    check_matches,
    given,
    matches,
)


class LARS(Optimizer):
    """SGD with momentum, with steps scaled by |w| / |g| per weight.

    You, Gitman, Ginsburg 2017 (arXiv:1708.03888), as in SimCLR and FNC: weight decay is
    added to the gradient before the norms are taken, and in the classic form the
    velocity includes the learning rate.

    Args:
        momentum: decay of the velocity.
        weight_decay: L2 coefficient added to the gradient.
        trust: the paper's eta, the size of a step as a share of the weight's norm.
        nesterov: whether to use Nesterov's form, which looks one step ahead.
        classic_momentum: whether the velocity includes the learning rate. If not, the
            velocity is a sum of gradients, and its norm is used for the scaling.
        no_decay: patterns of paths that get no weight decay.
        no_adaptation: patterns of paths that get no scaling. By default the classifier
            is decayed but not scaled, which equals an L2 loss on it.
    """

    slots = ("momentum",)

    @checked
    def __init__(
        self,
        *,
        momentum: HalfOpenShare = 0.9,
        weight_decay: NonNegativeFloat = 0.0,
        trust: PositiveFloat = 0.001,
        nesterov: bool = False,
        classic_momentum: bool = True,
        no_decay: Sequence[str] = (NORMALISATION, BIAS),
        no_adaptation: Sequence[str] = (NORMALISATION, BIAS, CLASSIFIER),
    ):
        """Keeps the options; see the class."""
        self._momentum = momentum
        self._weight_decay = weight_decay
        self._trust = trust
        self._nesterov = nesterov
        self._classic = classic_momentum
        self._no_decay = given("LARS: no_decay", no_decay)
        self._no_adaptation = given("LARS: no_adaptation", no_adaptation)

    def check(self, paths: Sequence[str]) -> None:
        """Implements `Optimizer.check`."""
        check_matches("LARS: no_decay", self._no_decay, paths)
        check_matches("LARS: no_adaptation", self._no_adaptation, paths)

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
        if self._classic:
            scaled = rate * self._ratio(weight, gradient, path) * gradient
            velocity = self._momentum * slots["momentum"] + scaled
            move = self._momentum * velocity + scaled if self._nesterov else velocity
        else:
            velocity = self._momentum * slots["momentum"] + gradient
            ahead = self._momentum * velocity + gradient
            direction = ahead if self._nesterov else velocity
            move = rate * self._ratio(weight, direction, path) * direction
        return weight - move, {"momentum": velocity}

    def _ratio(self, weight: tf.Tensor, direction: tf.Tensor, path: str) -> tf.Tensor:
        if matches(path, self._no_adaptation):
            return tf.ones([], weight.dtype)
        weight_norm, direction_norm = tf.norm(weight), tf.norm(direction)
        usable = (weight_norm > 0) & (direction_norm > 0)
        # The inner where avoids 0/0 in the branch that is not taken.
        safe = tf.where(usable, direction_norm, tf.ones_like(direction_norm))
        ratio = self._trust * weight_norm / safe
        return tf.where(usable, ratio, tf.ones_like(ratio))
