"""One update of all weights, except those that keep their values at first."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import keras
import tensorflow as tf

from sslkit.api import Objective, Optimizer, UserError, Weight
from sslkit.errors import near_names
from sslkit.training.trying import check_returned

Slots = Mapping[str, Mapping[str, keras.Variable]]


def held_at_first(objective: Objective, paths: Sequence[str]) -> dict[str, int]:
    """Returns for how many updates weights keep their first values.

    Args:
        objective: says it by patterns; see `Objective.frozen_steps`.
        paths: the weights that are trained.

    Returns:
        Path -> updates, for the weights that a pattern matches; the largest number if
        several do.

    Raises:
        UserError: if a pattern is not a regular expression or matches no path, or a
            number of updates is not a whole number, 0 or more.
    """
    where = f"objective {objective.name}: frozen_steps"
    held: dict[str, int] = {}
    for pattern, steps in dict(objective.frozen_steps).items():
        if isinstance(steps, bool) or not isinstance(steps, int) or steps < 0:
            raise UserError(
                f"{where} holds {pattern!r} for {steps!r} updates; wanted a whole "
                "number, 0 or more."
            )
        try:
            found = [path for path in paths if re.search(pattern, path)]
        except re.error as error:
            raise UserError(
                f"{where}: {pattern!r} is not a regular expression: {error}."
            ) from error
        if not found:
            raise UserError(
                f"{where}: the pattern {pattern!r} matches none of the {len(paths)} "
                f"weights that are trained, such as {near_names(pattern, paths)}."
            )
        for path in found:
            held[path] = max(steps, held.get(path, 0))
    return {path: steps for path, steps in held.items() if steps}


def updated(
    optimizer: Optimizer,
    trainable: Mapping[str, keras.Variable],
    slots: Slots,
    gradients: Sequence[tf.Tensor],
    *,
    held: Mapping[str, int],
    rate: tf.Tensor,
    step: tf.Tensor,
    steps: int,
) -> tuple[list[keras.Variable], list[tf.Tensor]]:
    """Computes one update; assigns nothing.

    Args:
        optimizer: moves the weights.
        trainable: path -> the weight.
        slots: path -> slot name -> variable.
        gradients: the mean over the global batch, for each weight in its order.
        held: path -> updates for which the weight and its slots keep their values.
        rate: float32 [], the learning rate of this step.
        step: int64 [], updates done before.
        steps: updates of the whole run.

    Returns:
        The variables, weights and slots, and their new values.

    Raises:
        UserError: if the optimizer does not return all weights, with their slots and in
            their shapes.
    """
    weights = {}
    for (path, variable), gradient in zip(trainable.items(), gradients, strict=True):
        gradient, updates = tf.convert_to_tensor(gradient), step
        if path in held:
            still = step < held[path]
            gradient = tf.where(still, tf.zeros_like(gradient), gradient)
            updates = tf.maximum(step - held[path], 0)
        weights[path] = Weight(
            value=tf.convert_to_tensor(variable.value),
            gradient=gradient,
            slots={
                name: tf.convert_to_tensor(slot.value)
                for name, slot in slots[path].items()
            },
            rate=rate,
            updates=updates,
        )
    moved = optimizer.update_all(weights, step=step, steps=steps)
    if set(moved) != set(weights):
        lost = [path for path in weights if path not in moved]
        raise UserError(
            f"optimizer {type(optimizer).__name__}: update_all returns {len(moved)} "
            f"weights for {len(weights)}{f', without {lost[0]}' if lost else ''}. "
            "Return every path that is given, and no other."
        )
    for path in weights:
        check_returned(optimizer, trainable[path], moved[path])
    variables, values = [], []
    for path, weight in weights.items():
        old = [weight.value, *weight.slots.values()]
        new = [moved[path].value, *(moved[path].slots[name] for name in weight.slots)]
        if path in held:
            still = step < held[path]
            new = [tf.where(still, b, a) for a, b in zip(new, old, strict=True)]
        variables += [trainable[path], *slots[path].values()]
        values += new
    return variables, values
