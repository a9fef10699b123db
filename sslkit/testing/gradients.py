"""Gradients of an objective, by the tape and by finite differences."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from unittest import mock

import keras
import numpy as np
import tensorflow as tf

from sslkit.api import Batch, Outcome
from sslkit.testing.precision import precision
from sslkit.testing.rehearsal import Rehearsal

DELTA = 1e-6
"""Length of a difference. In float64 the rounding of a loss near 1 is 1e-16 / 1e-6 =
1e-10 of the slope, and the curvature's share is of the order of 1e-12."""


def taped(
    rehearsal: Rehearsal,
    batch: Batch,
    *,
    of: Mapping[str, keras.Variable] | None = None,
    policy: str = "float64",
) -> tuple[Outcome, dict[str, np.ndarray | None]]:
    """Runs an objective forward and backward on one replica; state stays as it was.

    Without tracing, which takes longer than the one call that it is for.

    Args:
        rehearsal: holds the objective.
        batch: the global batch.
        of: the variables whose gradients are wanted, by name; the trained weights
            unless given.
        policy: the rehearsal's.

    Returns:
        The outcome; name -> gradient, None where none arrives.
    """
    objective = rehearsal.state.objective
    variables = rehearsal.state.trainable if of is None else of
    before = rehearsal.values()

    values = [variable.value for variable in variables.values()]
    with precision(policy), tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(values)
        outcome = objective(batch, step=tf.constant(0, tf.int64))
    gradients = tape.gradient(outcome.loss, values)
    rehearsal.set(before)
    found = {
        name: None if gradient is None else tf.convert_to_tensor(gradient).numpy()
        for name, gradient in zip(variables, gradients, strict=True)
    }
    return outcome, found


def slopes(
    rehearsal: Rehearsal, batch: Batch, directions: Sequence[Mapping[str, np.ndarray]]
) -> list[float]:
    """Measures the slope of an objective's loss along directions, in float64.

    What the objective shields by `tf.stop_gradient` keeps the value it has where the
    slope is measured: a loss such as SimSiam's has its gradient only in this sense.

    Args:
        rehearsal: holds the objective, in float64, on one replica.
        batch: the global batch.
        directions: each a mapping of trained weights to unit steps.

    Returns:
        One slope a direction; state stays as it was.
    """
    objective = rehearsal.state.objective
    before = rehearsal.values()
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
                rehearsal.set(
                    before
                    | {
                        name: before[name] + sign * DELTA * move
                        for name, move in direction.items()
                    }
                )
                ends.append(float(replay(batch, stopped)))
            found.append((ends[0] - ends[1]) / (2 * DELTA))
    rehearsal.set(before)
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
            # Inside a loop or a branch: its tensors cannot leave it.
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
