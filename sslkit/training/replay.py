"""Doing one step of a run again, to see where its numbers are first not finite."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import tensorflow as tf

from sslkit.checkpoints import Checkpoints, Damaged, restore, step_of
from sslkit.errors import UserError
from sslkit.training.checking import layers_of
from sslkit.workdir import Workdir

if TYPE_CHECKING:
    from sslkit.training.run import Training

_CALL = 100
"""Steps per call to the device, on the way to the step."""


def replay(
    training: Training,
    workdir: Workdir,
    step: int,
    *,
    say: Callable[[str], None] = print,
) -> list[str]:
    """Repeats a step, from the last checkpoint before it, and checks all its numbers.

    The steps from the checkpoint on are done as in the run. The step itself is done
    eagerly, so that each layer can be checked. Nothing is written.

    Args:
        training: what the run is made of; nothing is restored yet.
        workdir: the run's folder.
        step: the number of updates done after it, as in messages and
            `bad_step_<step>.json`.
        say: prints a line for the user.

    Returns:
        Lines with the result: what is not finite in the state before the step, the
        layers' results, and the first of loss, gradients and update; or that all of it
        is finite.

    Raises:
        UserError: if the run has no such step.
    """
    if not 1 <= step <= training.steps:
        raise UserError(
            f"the run has {training.steps:,} steps, and no step {step}; name one from "
            f"1 to {training.steps}."
        )
    start = _nearest(training, workdir, step, say)
    batches = training.runner.iterate(functools.partial(training.batches, start))
    train_step = training.train_step()
    assert train_step.guard is not None, "a run is guarded"
    advance = training.runner.compile(train_step, train_step.metrics)
    while start < step - 1:
        inner = min(_CALL, step - 1 - start)
        advance(batches, tf.constant(inner))
        start += inner
    lines = list(_bad_state(training))
    with watching(training.objective) as seen:
        found = train_step(next(batches))
    values = {name: float(value) for name, value in found.items()}
    if seen:
        lines.append(seen[0])
    bad = train_step.guard.why(values)
    numbers = f"loss {values['loss']:.6g}, gradient norm {values['gradient_norm']:.6g}"
    if bad is None and not lines:
        return [
            f"step {step} is finite here: {numbers}, and every layer's result is "
            "finite. If it was not on another device, name that device by --device"
        ]
    if not seen:
        lines.append("the result of every layer is finite")
    if bad is not None:
        lines.append(
            f"the first of loss, gradients and update that is not finite: {bad}"
        )
    lines.append(
        f"loss {values['loss']:.6g}, gradient norm {values['gradient_norm']:.6g}"
    )
    return lines


def _nearest(
    training: Training, workdir: Workdir, step: int, say: Callable[[str], None]
) -> int:
    """Brings the state to the last checkpoint before a step; returns its step."""
    prefixes = Checkpoints(workdir.checkpoints).prefixes()
    for prefix in reversed([one for one in prefixes if step_of(one) < step]):
        try:
            restore(training.state.table, prefix)
        except Damaged as error:
            say(f"{prefix} is damaged and is skipped: {error.reason}")
            continue
        start = int(training.state.step.numpy())
        say(f"from {prefix}, {step - 1 - start:,} steps before step {step}")
        return start
    said = training.initialize()
    if said is not None:
        say(said)
    say(f"no checkpoint from before step {step} is kept: from the start of the run")
    return 0


def _bad_state(training: Training) -> Iterator[str]:
    for name, variable in training.state.table.items():
        if _bad(variable.numpy()):
            yield f"before the step, {name} is not finite already"
            return


@contextlib.contextmanager
def watching(objective: keras.layers.Layer) -> Iterator[list[str]]:
    """Notes which layers return a result that is not finite, in the order of returning.

    Args:
        objective: built; called eagerly inside.

    Yields:
        A list with a line for each; filled while the context is open.
    """
    found: list[str] = []
    layers = layers_of(objective)
    for layer in layers:
        # Not by Keras's `__setattr__`, which would look for state in it.
        object.__setattr__(layer, "call", _noting(layer, found))
    try:
        yield found
    finally:
        for layer in layers:
            object.__delattr__(layer, "call")


def _noting(layer: keras.layers.Layer, found: list[str]) -> Callable[..., Any]:
    call = layer.call

    @functools.wraps(call)
    def noting(*values: Any, **named: Any) -> Any:
        returned = call(*values, **named)
        for array in _arrays(returned):
            if _bad(array):
                found.append(_described(layer, array, _arrays((values, named))))
                break
        return returned

    return noting


def _described(
    layer: keras.layers.Layer, result: np.ndarray, given: list[np.ndarray]
) -> str:
    bad = int(np.sum(~np.isfinite(result)))
    what = (
        f"the first layer whose result is not finite: {layer.path} "
        f"({type(layer).__name__}), {bad:,} of {result.size:,} numbers"
    )
    weights = [weight.path for weight in layer.weights if _bad(weight.numpy())]
    if weights:
        return f"{what}; its own {weights[0]} is not finite"
    if any(_bad(array) for array in given):
        return f"{what}; its input is not finite either"
    size = max((float(np.max(np.abs(a), initial=0.0)) for a in given), default=0.0)
    return f"{what}; its input is finite, up to {size:.3g} in absolute value"


def _arrays(nest: Any) -> list[np.ndarray]:
    """Returns the tensors of floating numbers in a nest."""
    return [
        np.asarray(tf.cast(leaf, tf.float32))
        if leaf.dtype == tf.bfloat16
        else leaf.numpy()
        for leaf in tf.nest.flatten(nest)
        if tf.is_tensor(leaf) and leaf.dtype.is_floating
    ]


def _bad(array: np.ndarray) -> bool:
    return bool(
        np.issubdtype(array.dtype, np.floating) and not np.all(np.isfinite(array))
    )
