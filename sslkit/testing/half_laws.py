"""The law that half precision changes the results of an objective only a little."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import tensorflow as tf

from sslkit.testing.gradients import taped
from sslkit.testing.law import Broken, Subject
from sslkit.testing.objective_laws import short_run_of
from sslkit.testing.short_run import ShortRun

HALF = "mixed_bfloat16"
LOSS = 0.1
"""The largest difference of the loss, relative to the loss or to 1, whichever is more.
bfloat16 has 8 bits, so a cosine has an error of up to 0.01, and with a temperature of
0.1 a logit has an error of up to 0.1."""
GRADIENT = 0.3
"""The largest difference of the gradient, relative to its length. An error of 0.1 in a
logit changes each weight of a softmax by a tenth, and so the gradient; this allows
three times as much. The methods in this repository differ by at most 0.1."""


def bfloat16_stays_close(subject: Subject) -> None:
    """The loss or the weights were computed in half precision, with large errors."""
    full = short_run_of(subject, "float32")
    half = short_run_of(subject, HALF)
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


def _keeps_float32(half: ShortRun) -> None:
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
            continue  # Another law finds weights without a gradient.
        if not np.all(np.isfinite(found)):
            raise Broken(
                f"the gradient of {name} is not finite in bfloat16",
                "In bfloat16 small differences are rounded to 0, where a root and a "
                "logarithm have no gradient: compute them in float32",
            )
        distance += float(np.sum((found.astype(float) - wanted) ** 2))
        length += float(np.sum(wanted.astype(float) ** 2))
    if not distance <= GRADIENT**2 * length:
        raise Broken(
            "its gradient in bfloat16 differs from the one in float32 by "
            f"{np.sqrt(distance / length):.2g} of its length",
            "Keep norms, similarities, exponentials and periodic functions in float32. "
            "If they are, a low temperature may enlarge the rounding of the encoder: "
            "test with a higher one",
        )
