"""Weight decay with a schedule, around any optimizer; and AdamW."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import tensorflow as tf

from sslkit.api import (
    HalfOpenShare,
    Moved,
    NonNegativeFloat,
    Optimizer,
    PositiveFloat,
    Weight,
    checked,
)
from sslkit.optimize.adam import Adam
from sslkit.optimize.around import Around
from sslkit.optimize.exclusions import (
    BIAS,
    NORMALISATION,
    check_matches,
    given,
    matches,
)


class Decayed(Around):
    """Decays weights by a coefficient that may change along half a cosine.

    With K the updates of the run, the coefficient of update k is

        end + (start - end) * (1 + cos(pi * k / K)) / 2,

    as in DINO, from 0.04 to 0.4 (Caron et al. 2021, arXiv:2104.14294).

    Args:
        of: the optimizer that updates the weights; its own decay must be 0.
        weight_decay: the coefficient, or the first one.
        final_weight_decay: the last one; None for the same throughout.
        decoupled: whether the weight shrinks by rate x coefficient in addition to the
            optimizer's step (Loshchilov and Hutter 2019, as in AdamW). If not,
            coefficient x weight is added to the gradient, as an L2 loss does.
        no_decay: patterns of paths that get no weight decay.
    """

    @checked
    def __init__(
        self,
        *,
        of: Optimizer,
        weight_decay: NonNegativeFloat,
        final_weight_decay: NonNegativeFloat | None = None,
        decoupled: bool = True,
        no_decay: Sequence[str] = (NORMALISATION, BIAS),
    ):
        """Keeps the options; see the class."""
        super().__init__(of)
        self._start = weight_decay
        self._end = weight_decay if final_weight_decay is None else final_weight_decay
        self._decoupled = decoupled
        self._option = f"{type(self).__name__}: no_decay"
        self._no_decay = given(self._option, no_decay)

    def check(self, paths: Sequence[str]) -> None:
        """Implements `Optimizer.check`."""
        check_matches(self._option, self._no_decay, paths)
        super().check(paths)

    def coefficient(
        self, step: tf.Tensor, *, steps: int, dtype: tf.DType = tf.float32
    ) -> tf.Tensor:
        """Returns the coefficient of an update.

        Args:
            step: int64 [], updates of the run done before it.
            steps: updates of the whole run; after them it is constant.
            dtype: of the result.

        Returns:
            `dtype` [].
        """
        if self._start == self._end:
            return tf.constant(self._start, dtype)
        done = tf.clip_by_value(tf.cast(step, dtype) / steps, 0.0, 1.0)
        swing = 0.5 * (1.0 + tf.cos(tf.constant(math.pi, dtype) * done))
        return self._end + (self._start - self._end) * swing

    def update_all(
        self, weights: Mapping[str, Weight], *, step: tf.Tensor, steps: int
    ) -> Mapping[str, Moved]:
        """Implements `Optimizer.update_all`."""
        decayed = {
            path: self.coefficient(step, steps=steps, dtype=weight.value.dtype)
            * weight.value
            for path, weight in weights.items()
            if not matches(path, self._no_decay)
        }
        if not self._decoupled:
            weights = {
                path: weight._replace(gradient=weight.gradient + decayed[path])
                if path in decayed
                else weight
                for path, weight in weights.items()
            }
        moved = self.of.update_all(weights, step=step, steps=steps)
        if not self._decoupled:
            return moved
        return {
            path: new._replace(value=new.value - weights[path].rate * decayed[path])
            if path in decayed
            else new
            for path, new in moved.items()
        }


class AdamW(Decayed):
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019, algorithm 2).

    It is the same as `decayed` around `adam`, where the use of epsilon is described.
    The decay is multiplied by the learning rate, as in PyTorch and in most code for
    ViTs.

    Args:
        beta1: decay of the mean of gradients.
        beta2: decay of the mean of squared gradients.
        epsilon: added to the uncorrected root of the second moment.
        weight_decay: coefficient of the decay, or the first one.
        final_weight_decay: the last one, which it reaches along half a cosine; None for
            the same throughout.
        no_decay: patterns of paths that get no weight decay.
    """

    @checked
    def __init__(
        self,
        *,
        beta1: HalfOpenShare = 0.9,
        beta2: HalfOpenShare = 0.999,
        epsilon: PositiveFloat = 1e-8,
        weight_decay: NonNegativeFloat = 0.05,
        final_weight_decay: NonNegativeFloat | None = None,
        no_decay: Sequence[str] = (NORMALISATION, BIAS),
    ):
        """Keeps the options; see the class."""
        super().__init__(
            of=Adam(beta1=beta1, beta2=beta2, epsilon=epsilon),
            weight_decay=weight_decay,
            final_weight_decay=final_weight_decay,
            decoupled=True,
            no_decay=no_decay,
        )
