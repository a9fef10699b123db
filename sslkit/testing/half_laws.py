"""The law of what half precision may do to an objective."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import tensorflow as tf

from sslkit.testing.gradients import taped
from sslkit.testing.law import Broken, Subject
from sslkit.testing.objective_laws import rehearsal_of
from sslkit.testing.rehearsal import Rehearsal

HALF = "mixed_bfloat16"
LOSS = 0.1
"""What the loss may differ by, of itself or of 1. bfloat16 has 8 bits: a cosine is off
by up to 0.01, which a temperature of 0.1 makes 0.1 of a logit."""
GRADIENT = 0.3
"""What the gradient may differ by, of its length. 0.1 of a logit is a tenth of each
weight in a softmax, and so of the gradient; this is three times as much. The methods
here differ by 0.1 at most."""


def bfloat16_stays_close(subject: Subject) -> None:
    """Half precision reached the loss, or the weights, and spoiled both."""
    full = rehearsal_of(subject, "float32")
    half = rehearsal_of(subject, HALF)
    _keeps_float32(half)
    batch = half.batch(0)
    ours, our_gradients = taped(half, batch, policy=HALF)
    theirs, their_gradients = taped(full, batch, policy="float32")
    for name, value in {"loss": ours.loss, **ours.metrics}.items():
        if value.dtype != tf.float32:
            raise Broken(
                f"its {name} is {value.dtype.name} in bfloat16",
                "Cast to float32 before the loss",
            )
    error = abs(float(ours.loss - theirs.loss))
    if not error <= LOSS * max(1.0, abs(float(theirs.loss))):
        raise Broken(
            f"its loss is {float(ours.loss):.4g} in bfloat16 and "
            f"{float(theirs.loss):.4g} in float32",
            "Keep statistics, norms, similarities and logarithms in float32",
        )
    _near(our_gradients, their_gradients)


def _keeps_float32(half: Rehearsal) -> None:
    kept = [
        f"{name} ({variable.dtype})"
        for name, variable in half.state.table.items()
        if "float" in variable.dtype and variable.dtype != "float32"
    ]
    if kept:
        raise Broken(
            f"variables that are not float32: {', '.join(kept[:3])}",
            "Do not pass a dtype to add_weight, or pass float32",
        )


def _near(
    ours: Mapping[str, np.ndarray | None], theirs: Mapping[str, np.ndarray | None]
) -> None:
    """Compares the gradients of all weights as one vector."""
    distance = length = 0.0
    for name, wanted in theirs.items():
        found = ours[name]
        if found is None or wanted is None:
            continue  # Another law looks for those that get none.
        if not np.all(np.isfinite(found)):
            raise Broken(
                f"the gradient of {name} is not finite in bfloat16",
                "Small differences round to 0 there, whose root and logarithm have no "
                "gradient: compute them in float32",
            )
        distance += float(np.sum((found.astype(float) - wanted) ** 2))
        length += float(np.sum(wanted.astype(float) ** 2))
    if not distance <= GRADIENT**2 * length:
        raise Broken(
            f"its gradient in bfloat16 is off by {np.sqrt(distance / length):.2g} of "
            "its length in float32",
            "Keep norms, similarities, exponentials and what is periodic in float32",
        )
