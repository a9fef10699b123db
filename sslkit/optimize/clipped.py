"""Clipping gradients by their norm, around another optimizer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import tensorflow as tf

from sslkit.api import Moved, Optimizer, PositiveFloat, Weight, checked
from sslkit.optimize.around import Around

ClipNorm = Literal["global", "weight"]
"""Which norm is limited: that of all gradients together, or that of each weight's."""


class Clipped(Around):
    """Limits the norm of gradients (Pascanu et al. 2013, algorithm 1).

        g <- g * min(1, norm / |g|)

    Gradients are those of the global batch, averaged over replicas. The metric
    `gradient_norm` is the norm before clipping.

    Args:
        of: the optimizer that moves the weights.
        norm: the largest norm.
        by: `global` limits the norm of all gradients together, so that their direction
            stays; `weight` limits that of each weight's gradient, as in DINO's code
            (Caron et al. 2021).
    """

    @checked
    def __init__(self, *, of: Optimizer, norm: PositiveFloat, by: ClipNorm = "global"):
        """Keeps the options; see the class."""
        super().__init__(of)
        self._norm = norm
        self._by = by

    def update_all(
        self, weights: Mapping[str, Weight], *, step: tf.Tensor, steps: int
    ) -> Mapping[str, Moved]:
        """Implements `Optimizer.update_all`."""
        squares = {
            path: tf.reduce_sum(tf.square(weight.gradient))
            for path, weight in weights.items()
        }
        if self._by == "global":
            together = tf.add_n(list(squares.values()))
            squares = dict.fromkeys(squares, together)
        scaled = {
            path: weight._replace(
                # Avoids 0 / 0 if all gradients are zero.
                gradient=weight.gradient
                * (self._norm / tf.maximum(tf.sqrt(squares[path]), self._norm))
            )
            for path, weight in weights.items()
        }
        return self.of.update_all(scaled, step=step, steps=steps)
