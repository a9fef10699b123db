"""Laws of optimizers and learning-rate schedules."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from sslkit.api import Moved, Optimizer, Schedule, Weight
from sslkit.errors import first_line
from sslkit.testing.law import Broken, Subject

SHAPES = {
    "encoder/block_0/kernel": [3, 5],
    "encoder/block_1/kernel": [3, 5],
    "head/bias": [4],
}
"""Path -> shape of the weights that optimizers are tested on."""
_RUN = {"steps": 40, "batch_size": 8, "examples": 100}
_STEPS = 40


def _weights(
    optimizer: Optimizer, dtype: str = "float32", *, step: int = 3
) -> dict[str, Weight]:
    draw = np.random.default_rng(4)

    def tensor(shape: list[int], low: float = -1.0) -> tf.Tensor:
        return tf.constant(draw.uniform(low, 1.0, shape), dtype)

    return {
        path: Weight(
            value=tensor(shape),
            gradient=tensor(shape),
            # Not negative, because some slots are sums of squares.
            slots={name: tensor(shape, 0.1) for name in optimizer.slots},
            rate=tf.constant(0.1, dtype),
            updates=tf.constant(step, tf.int64),
        )
        for path, shape in SHAPES.items()
    }


def _update(
    optimizer: Optimizer, weights: Mapping[str, Weight], *, step: int = 3
) -> dict[str, np.ndarray]:
    """Returns `weight of PATH` or `SLOT of PATH` -> its new value."""
    moved = optimizer.update_all(
        weights, step=tf.constant(step, tf.int64), steps=_STEPS
    )
    return _named(moved)


def _named(moved: Mapping[str, Moved]) -> dict[str, np.ndarray]:
    return {
        f"{what} of {path}": np.asarray(value)
        for path, (weight, slots) in moved.items()
        for what, value in {"weight": weight, **slots}.items()
    }


def _equal(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> bool:
    return all(np.array_equal(one[name], other[name]) for name in one)


def keeps_all_state_in_its_slots(subject: Subject) -> None:
    """State in the object was not saved, so a resumed run was different."""
    optimizer = subject.make()
    weights = _weights(optimizer)
    first = _update(optimizer, weights)
    _update(optimizer, dict(list(weights.items())[1:]))
    if not _equal(first, _update(optimizer, weights)):
        raise Broken(
            "with the same inputs, the second update is different",
            "Do not keep state in self: use slots, and `step` to count updates",
        )
    if not _equal(first, _update(subject.make(), weights)):
        raise Broken(
            "two instances with the same options differ",
            "Compute the update only from the arguments and the options",
        )


def returns_the_slots_it_declares(subject: Subject) -> None:
    """A slot was returned under another name, and so never changed."""
    optimizer = subject.make()
    for dtype in ("float32", "float64"):
        weights = _weights(optimizer, dtype)
        try:
            made = optimizer.update_all(
                weights, step=tf.constant(3, tf.int64), steps=_STEPS
            )
        except (TypeError, tf.errors.InvalidArgumentError) as error:
            raise Broken(
                f"it fails on {dtype} weights: {first_line(error)}",
                "Cast constants to weight.dtype",
            ) from error
        if set(made) != set(weights):
            raise Broken(
                f"it returns {len(set(made) & set(weights))} of {len(weights)} weights",
                "Return all paths that are given, and no others",
            )
        for path, (new, slots) in made.items():
            if set(slots) != set(optimizer.slots):
                raise Broken(
                    f"update returns {sorted(slots)}, but `slots` is "
                    f"{sorted(optimizer.slots)}",
                    "Use the same names in both",
                )
            wanted = SHAPES[path]
            for name, tensor in {"the weight": new, **slots}.items():
                value = np.asarray(tensor)
                if list(value.shape) != wanted or value.dtype != dtype:
                    raise Broken(
                        f"{name} is {value.dtype} {list(value.shape)} for a "
                        f"{dtype} weight of shape {wanted}",
                        "Return every slot in the shape and dtype of its weight",
                    )


def pairs_weights_by_their_paths(subject: Subject) -> None:
    """The first weight was treated differently, or got another weight's gradient."""
    optimizer = subject.make()
    weights = _weights(optimizer)
    straight = _update(optimizer, weights)
    turned = _update(optimizer, dict(reversed(weights.items())))
    for name, value in straight.items():
        # The rounding of sums over all weights depends on the order.
        if not np.allclose(turned[name], value, rtol=1e-5, atol=1e-6):
            raise Broken(
                f"with the weights in another order the {name} is different",
                "Compute the update from paths and values, not from the order",
            )


def stays_finite_to_the_end_of_the_run(subject: Subject) -> None:
    """A value that depends on the run's progress was divided by the steps left."""
    optimizer = subject.make()
    for step in (0, 1, _STEPS - 1, _STEPS, _STEPS + 1):
        made = _update(optimizer, _weights(optimizer, step=step), step=step)
        for name, value in made.items():
            if not np.all(np.isfinite(value)):
                raise Broken(
                    f"the {name} is not finite at step {step} of {_STEPS}",
                    "Clip the progress of the run to [0, 1]",
                )


def updates_the_same_in_a_graph_and_under_jit(subject: Subject) -> None:
    """A Python branch on a tensor was decided once, while tracing."""
    optimizer = subject.make()
    weights = _weights(optimizer)
    wanted = _update(optimizer, weights)
    for jit in (False, True):

        @tf.function(jit_compile=jit, autograph=False)
        def run(weights: dict[str, Weight], step: tf.Tensor) -> Any:
            return dict(optimizer.update_all(weights, step=step, steps=_STEPS))

        try:
            moved = run(weights, tf.constant(3, tf.int64))
        except Exception as error:
            lines = str(error).strip().splitlines() or [""]
            raise Broken(
                f"it fails in a graph ({type(error).__name__}: {lines[-1].strip()})",
                "Use only TensorFlow operations; branch with tf.where, not with if",
            ) from error
        for name, value in _named(moved).items():
            off = float(np.max(np.abs(value - wanted[name])))
            # A few float32 operations on numbers near 1.
            if not off <= 1e-6:
                raise Broken(
                    f"{'compiled by XLA' if jit else 'in a graph'} the {name} differs "
                    f"by {off:.2g}",
                    "Branch with tf.where, not with if",
                )


def moves_against_the_gradient(subject: Subject) -> None:
    """A wrong sign, or a missing factor of the rate, made the loss rise."""
    optimizer = subject.make()
    weights = {
        path: weight._replace(
            # Large enough, so that weight decay does not reverse the step.
            gradient=tf.sign(weight.gradient) * 10.0,
            slots={n: tf.zeros_like(s) for n, s in weight.slots.items()},
        )
        for path, weight in _weights(optimizer, step=0).items()
    }
    moved = _update(optimizer, weights, step=0)
    still = _update(
        optimizer,
        {p: w._replace(rate=tf.zeros_like(w.rate)) for p, w in weights.items()},
        step=0,
    )
    for path, weight in weights.items():
        name, before = f"weight of {path}", weight.value.numpy()
        if name not in moved:  # Another law reports that.
            continue
        step = moved[name] - before
        if not np.all(np.sign(step) == -np.sign(weight.gradient.numpy())):
            raise Broken(
                "the first update does not go against the gradient", "Subtract the step"
            )
        if np.any(still[name] != before):
            raise Broken(
                "with a learning rate of 0 the first update changes the weight",
                "Multiply every part of the step by the rate, also weight decay",
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


def gives_the_same_rate_in_a_graph(subject: Subject) -> None:
    """A Python branch on the step kept the rate of the step that was traced."""
    schedule: Schedule = subject.make()
    run = tf.function(lambda step: schedule.rate(step, **_RUN), autograph=False)
    for step in (0, 3, 20, 39):
        number = tf.constant(step, tf.int64)
        graph, eager = float(run(number)), float(schedule.rate(number, **_RUN))
        # A few float32 operations.
        if not abs(graph - eager) <= 1e-6 * max(1.0, abs(eager)):
            raise Broken(
                f"at step {step} the rate is {graph:.6g} in a graph and {eager:.6g} "
                "in eager mode",
                "Compute with tensors and branch with tf.where",
            )
