"""Gradients of an objective, from the gradient tape and from finite differences."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from unittest import mock

import keras
import numpy as np
import tensorflow as tf

from sslkit.api import Batch, Outcome
from sslkit.testing.precision import precision
from sslkit.testing.short_run import ShortRun

DELTA = 1e-6
"""The length of a step. For a loss near 1 in float64, rounding makes an error of
1e-16 / 1e-6 = 1e-10 in the slope, and curvature one of the order of 1e-12."""


def taped(
    short_run: ShortRun,
    batch: Batch,
    *,
    of: Mapping[str, keras.Variable] | None = None,
    policy: str = "float64",
) -> tuple[Outcome, dict[str, np.ndarray | None]]:
    """Runs an objective forward and backward on one replica; restores its state.

    Without tracing, which takes longer than the one call that it is for.

    Args:
        short_run: holds the objective.
        batch: the global batch.
        of: name -> variable whose gradient is wanted; by default the trained weights.
        policy: the dtype policy of the short run.

    Returns:
        The outcome; name -> gradient, None if a variable gets no gradient.
    """
    objective = short_run.state.objective
    variables = short_run.state.trainable if of is None else of
    before = short_run.values()

    values = [variable.value for variable in variables.values()]
    with precision(policy), tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(values)
        outcome = objective(batch, step=tf.constant(0, tf.int64))
    gradients = tape.gradient(outcome.loss, values)
    short_run.set(before)
    found = {
        name: None if gradient is None else tf.convert_to_tensor(gradient).numpy()
        for name, gradient in zip(variables, gradients, strict=True)
    }
    return outcome, found


def slopes(
    short_run: ShortRun, batch: Batch, directions: Sequence[Mapping[str, np.ndarray]]
) -> list[float]:
    """Measures the slope of an objective's loss along directions, in float64.

    The arguments of `tf.stop_gradient` in the objective keep the values that they have
    at the point where the slope is measured. Only in this sense the gradient of a loss
    such as SimSiam's is a slope.

    Args:
        short_run: holds the objective, in float64, on one replica.
        batch: the global batch.
        directions: each a mapping of trained weights to unit steps.

    Returns:
        One slope per direction. The state is restored.
    """
    objective = short_run.state.objective
    before = short_run.values()
    step = tf.constant(0, tf.int64)

    @tf.function
    def record(batch: Batch) -> list[tf.Tensor]:
        with _stops([]) as stopped:
            objective(batch, step=step)
        return stopped

    @tf.function
    def replay(batch: Batch, stopped: list[tf.Tensor]) -> tf.Tensor:
        with _stops(stopped):
            return objective(batch, step=step).loss

    found = []
    with precision("float64"):
        stopped = record(batch)
        for direction in directions:
            ends = []
            for sign in (1, -1):
                short_run.set(
                    before
                    | {
                        name: before[name] + sign * DELTA * move
                        for name, move in direction.items()
                    }
                )
                ends.append(float(replay(batch, stopped)))
            found.append((ends[0] - ends[1]) / (2 * DELTA))
    short_run.set(before)
    return found


@contextlib.contextmanager
def _stops(given: Sequence[tf.Tensor]) -> Iterator[list[tf.Tensor]]:
    """Makes `tf.stop_gradient` return given values, or collects what it returns."""
    stop: Callable[..., tf.Tensor] = tf.stop_gradient
    graph = tf.compat.v1.get_default_graph()
    waiting = list(given)
    seen: list[tf.Tensor] = []

    def stopped(input: tf.Tensor, name: str | None = None) -> tf.Tensor:
        if tf.compat.v1.get_default_graph() is not graph:
            # Inside a loop or a branch, whose tensors cannot be used outside.
            return stop(input)
        if given:
            value = waiting.pop(0)
            value.set_shape(input.shape)
            return stop(value)
        seen.append(stop(input))
        return seen[-1]

    with (
        mock.patch.object(tf, "stop_gradient", stopped),
        mock.patch.object(keras.ops, "stop_gradient", stopped),
    ):
        yield seen
