"""Schedules of the learning rate, with lengths in epochs."""

from __future__ import annotations

import math
from typing import Literal

import tensorflow as tf

from sslkit.api import NonNegativeFloat, Schedule, checked

Scaling = Literal["sqrt", "linear", "none"]
"""How the learning rate depends on the batch size; see `scaled_rate`."""


@checked
def scaled_rate(base: float, scaling: Scaling, batch_size: int) -> float:
    """Returns the peak learning rate for a global batch (Chen et al. 2020, app. B.1).

    Args:
        base: the rate before scaling.
        scaling: `sqrt` (base x root of the batch), `linear` (base x batch / 256) or
            `none`.
        batch_size: the global batch.
    """
    if scaling == "sqrt":
        return base * math.sqrt(batch_size)
    if scaling == "linear":
        return base * batch_size / 256
    return base


def scaled_text(base: float, scaling: Scaling, batch_size: int) -> str:
    """Returns `scaled_rate` and its formula, for the log."""
    peak = f"{scaled_rate(base, scaling, batch_size):.4g}"
    if scaling == "sqrt":
        return f"{peak} ({base:g} x sqrt({batch_size}))"
    if scaling == "linear":
        return f"{peak} ({base:g} x {batch_size} / 256)"
    return peak


class WarmupCosine(Schedule):
    """Rises linearly from 0 to the scaled rate, then falls along a cosine to 0.

    Args:
        base: learning rate before scaling by the batch.
        scaling: `sqrt`, `linear` or `none`; see `scaled_rate`.
        warmup_epochs: length of the linear part.

    Examples:
        >>> schedule = WarmupCosine(base=1.0, scaling="none", warmup_epochs=1)
        >>> run = {"steps": 10, "batch_size": 50, "examples": 100}
        >>> [round(float(schedule.rate(step, **run)), 2) for step in (0, 1, 2, 6, 10)]
        [0.0, 0.5, 1.0, 0.5, 0.0]
    """

    @checked
    def __init__(
        self,
        *,
        base: NonNegativeFloat,
        scaling: Scaling = "sqrt",
        warmup_epochs: NonNegativeFloat = 0.0,
    ):
        """Keeps the options; see the class."""
        self._base = base
        self._scaling = scaling
        self._warmup_epochs = warmup_epochs

    def rate(
        self, step: tf.Tensor, *, steps: int, batch_size: int, examples: int
    ) -> tf.Tensor:
        """Implements `Schedule.rate`."""
        peak = scaled_rate(self._base, self._scaling, batch_size)
        warmup = self._warmup(batch_size, examples)
        now = tf.cast(step, tf.float32)
        rising = now / warmup * peak if warmup else tf.constant(peak, tf.float32)
        # A run that ends within its warm-up has no cosine; after its end the rate is 0.
        length = steps - warmup
        done = (
            tf.clip_by_value((now - warmup) / length, 0.0, 1.0) if length > 0 else 1.0
        )
        falling = 0.5 * (1.0 + tf.cos(tf.constant(math.pi) * done)) * peak
        return tf.where(now < warmup, rising, falling)

    def describe(self, *, steps: int, batch_size: int, examples: int) -> str:
        """Implements `Schedule.describe`."""
        peak = scaled_text(self._base, self._scaling, batch_size)
        warmup = self._warmup(batch_size, examples)
        if warmup >= steps:
            return (
                f"{peak} would be reached after {warmup:,} step(s) of warm-up; the run "
                "ends before"
            )
        rising = f" after {warmup:,} step(s) of warm-up" if warmup else ""
        return f"{peak}{rising}, then a cosine to 0"

    def _warmup(self, batch_size: int, examples: int) -> int:
        return int(self._warmup_epochs * examples // batch_size)


class Constant(Schedule):
    """The same rate throughout.

    Args:
        base: learning rate before scaling by the batch.
        scaling: `sqrt`, `linear` or `none`; see `scaled_rate`.
    """

    @checked
    def __init__(self, *, base: NonNegativeFloat, scaling: Scaling = "none"):
        """Keeps the options; see the class."""
        self._base = base
        self._scaling = scaling

    def rate(
        self, step: tf.Tensor, *, steps: int, batch_size: int, examples: int
    ) -> tf.Tensor:
        """Implements `Schedule.rate`."""
        return tf.constant(scaled_rate(self._base, self._scaling, batch_size))

    def describe(self, *, steps: int, batch_size: int, examples: int) -> str:
        """Implements `Schedule.describe`."""
        return f"{scaled_text(self._base, self._scaling, batch_size)} throughout"
