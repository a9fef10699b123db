"""Laws of optimizers and learning-rate schedules."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from sslkit.api import Optimizer, Schedule
from sslkit.errors import first_line
from sslkit.testing.law import Broken, Subject

_PATH = "encoder/layer/kernel"
_RUN = {"steps": 40, "batch_size": 8, "examples": 100}


def _inputs(optimizer: Optimizer, dtype: str = "float32") -> dict[str, Any]:
    draw = np.random.default_rng(4)

    def tensor(low: float = -1.0) -> tf.Tensor:
        return tf.constant(draw.uniform(low, 1.0, [3, 5]), dtype)

    return {
        "weight": tensor(),
        "gradient": tensor(),
        # What adds squares is not negative.
        "slots": {name: tensor(0.1) for name in optimizer.slots},
        "rate": tf.constant(0.1, dtype),
        "step": tf.constant(3, tf.int64),
    }


def _update(
    optimizer: Optimizer, inputs: dict[str, Any], path: str = _PATH
) -> dict[str, np.ndarray]:
    weight, slots = optimizer.update(
        inputs["weight"],
        inputs["gradient"],
        inputs["slots"],
        path=path,
        rate=inputs["rate"],
        step=inputs["step"],
    )
    return {
        "weight": np.asarray(weight),
        **{n: np.asarray(s) for n, s in slots.items()},
    }


def _equal(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> bool:
    return all(np.array_equal(one[name], other[name]) for name in one)


def keeps_all_state_in_its_slots(subject: Subject) -> None:
    """State in the object was not saved, and a resumed run went another way."""
    optimizer = subject.make()
    inputs = _inputs(optimizer)
    first = _update(optimizer, inputs)
    _update(optimizer, _inputs(optimizer), path="head/bias")
    if not _equal(first, _update(optimizer, inputs)):
        raise Broken(
            "the same inputs give another update the second time",
            "Remember nothing in self: the slots are the state, and `step` counts",
        )
    if not _equal(first, _update(subject.make(), inputs)):
        raise Broken(
            "two instances with the same options differ",
            "Let an update depend on its arguments and the options alone",
        )


def returns_the_slots_it_declares(subject: Subject) -> None:
    """A slot that was returned under another name never changed."""
    optimizer = subject.make()
    for dtype in ("float32", "float64"):
        inputs = _inputs(optimizer, dtype)
        try:
            made = _update(optimizer, inputs)
        except (TypeError, tf.errors.InvalidArgumentError) as error:
            raise Broken(
                f"it fails on {dtype} weights: {first_line(error)}",
                "Cast constants to weight.dtype",
            ) from error
        wanted = {"weight", *optimizer.slots}
        if set(made) != wanted:
            raise Broken(
                f"update returns {sorted(set(made) - {'weight'})} and `slots` declares "
                f"{sorted(optimizer.slots)}",
                "Use the same names in both",
            )
        for name, value in made.items():
            if value.shape != (3, 5) or value.dtype != dtype:
                raise Broken(
                    f"{name} comes out as {value.dtype} {list(value.shape)} for a "
                    f"{dtype} weight of shape [3, 5]",
                    "Every slot has the shape and dtype of its weight",
                )


def updates_alike_in_a_graph_and_under_jit(subject: Subject) -> None:
    """A Python branch on a tensor was decided once, while tracing."""
    optimizer = subject.make()
    inputs = _inputs(optimizer)
    wanted = _update(optimizer, inputs)
    for jit in (False, True):

        @tf.function(jit_compile=jit, autograph=False)
        def run(inputs: dict[str, Any]) -> Any:
            return optimizer.update(**inputs, path=_PATH)

        try:
            weight, slots = run(inputs)
        except Exception as error:
            lines = str(error).strip().splitlines() or [""]
            raise Broken(
                f"it fails in a graph ({type(error).__name__}: {lines[-1].strip()})",
                "Use TensorFlow operations alone; branch with tf.where, not with if",
            ) from error
        for name, value in {"weight": weight, **slots}.items():
            off = float(np.max(np.abs(value.numpy() - wanted[name])))
            # A few float32 operations on numbers near 1.
            if not off <= 1e-6:
                raise Broken(
                    f"{'compiled by XLA' if jit else 'in a graph'} {name} differs by "
                    f"{off:.2g}",
                    "Branch with tf.where, not with if",
                )


def moves_against_the_gradient(subject: Subject) -> None:
    """A sign, or a rate that was never multiplied in, made the loss rise."""
    optimizer = subject.make()
    inputs = _inputs(optimizer)
    inputs["slots"] = {n: tf.zeros_like(s) for n, s in inputs["slots"].items()}
    inputs["step"] = tf.constant(0, tf.int64)
    # Large enough that no weight decay turns the step round.
    inputs["gradient"] = tf.sign(inputs["gradient"]) * 10.0
    moved = _update(optimizer, inputs)["weight"] - inputs["weight"].numpy()
    if not np.all(np.sign(moved) == -np.sign(inputs["gradient"].numpy())):
        raise Broken(
            "the first update does not go against the gradient", "Subtract the step"
        )
    inputs["rate"] = tf.constant(0.0)
    moved = _update(optimizer, inputs)["weight"] - inputs["weight"].numpy()
    if np.any(moved):
        raise Broken(
            "with a learning rate of 0 the first update moves the weight",
            "Multiply every part of the step by the rate, weight decay too",
        )


def gives_a_finite_rate_at_every_step(subject: Subject) -> None:
    """A rate was NaN at the last step, or negative after it."""
    schedule: Schedule = subject.make()
    for step in (0, 1, 20, 39, 40, 41):
        rate = tf.convert_to_tensor(schedule.rate(tf.constant(step, tf.int64), **_RUN))
        if rate.dtype != tf.float32 or rate.shape != ():
            raise Broken(
                f"the rate is {rate.dtype.name} {list(rate.shape)}",
                "Return a float32 scalar",
            )
        if not (np.isfinite(rate.numpy()) and rate.numpy() >= 0):
            raise Broken(
                f"the rate is {rate.numpy()} at step {step} of {_RUN['steps']}",
                "Clip the share of the run that is done to [0, 1]",
            )


def schedules_alike_in_a_graph(subject: Subject) -> None:
    """A Python branch on the step froze the rate of the step that was traced."""
    schedule: Schedule = subject.make()
    run = tf.function(lambda step: schedule.rate(step, **_RUN), autograph=False)
    for step in (0, 3, 20, 39):
        number = tf.constant(step, tf.int64)
        graph, eager = float(run(number)), float(schedule.rate(number, **_RUN))
        # A few float32 operations.
        if not abs(graph - eager) <= 1e-6 * max(1.0, abs(eager)):
            raise Broken(
                f"at step {step} it gives {graph:.6g} in a graph and {eager:.6g} "
                "outside",
                "Compute with tensors and branch with tf.where",
            )
