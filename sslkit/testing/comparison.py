"""Compares two tables of variables, and describes the differences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np


def differences(
    ours: Mapping[str, np.ndarray], theirs: Mapping[str, np.ndarray], *, within: float
) -> str | None:
    """Describes the arrays that differ by more than an allowed error.

    Args:
        ours: name -> values.
        theirs: the same names and shapes.
        within: the allowed difference, relative to the largest value of the array or
            to 1, whichever is larger; 0 means equal bits.

    Returns:
        A line that names the largest differences; None if there are none.
    """
    found = {}
    for name, value in ours.items():
        scale = max(1.0, float(np.max(np.abs(theirs[name]), initial=0.0)))
        error = float(np.max(np.abs(value - theirs[name]), initial=0.0)) / scale
        if not error <= within:
            found[name] = error
    if not found:
        return None
    worst = sorted(found, key=lambda name: -found[name])
    shown = ", ".join(f"{name} by {found[name]:.2g}" for name in worst[:3])
    more = f" and {len(worst) - 3} more" if len(worst) > 3 else ""
    return f"{shown}{more}"


def losses_differ(
    ours: Sequence[float], theirs: Sequence[float], *, within: float
) -> str | None:
    """Returns a line about the first step whose losses differ; None if none does."""
    for step, (one, other) in enumerate(zip(ours, theirs, strict=True)):
        if not abs(one - other) <= within * max(1.0, abs(other)):
            digits = 9 if f"{one:.9g}" != f"{other:.9g}" else 17
            return (
                f"the loss of step {step} is {one:.{digits}g} and not "
                f"{other:.{digits}g}"
            )
    return None
