"""Refuses a number of epochs that a run would not heed."""

from __future__ import annotations

from collections.abc import Sequence

from sslkit.config.reading import Binding
from sslkit.errors import UserError


def check_length(used: Sequence[Binding], given: Sequence[Binding]) -> None:
    """Refuses an override of `train.epochs` where `train.steps` is set.

    `train.steps` decides the length then. Recipes may bind both: a recipe that sets
    steps may include one that sets epochs.

    Args:
        used: the bindings that a run uses, without macros.
        given: the bindings of the command line.

    Raises:
        UserError: if `train.epochs` is among the overrides and `train.steps` is not
            None.
    """
    bound = {binding.key: binding for binding in used}
    epochs, steps = bound.get("train.epochs"), bound.get("train.steps")
    if epochs is None or steps is None or None in (epochs.value, steps.value):
        return
    places = {binding.place for binding in given}
    if epochs.set_at not in places:
        return
    move = (
        "Leave out one of them."
        if steps.set_at in places
        else "Set train.steps instead, or add --set 'train.steps = None'."
    )
    raise UserError(
        f"{epochs.set_at} has no effect: train.steps = {steps.value!r} "
        f"({steps.set_at}) decides the length of the run. {move}"
    )
