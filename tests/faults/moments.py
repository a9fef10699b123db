"""The phases of a run, announced when they begin and end.

They are written to a pipe, one line each: `begin step`, `end step`. The reader may kill
the process within a phase.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from typing import Any

MOMENTS = (
    "start",
    "trace",
    "step",
    "checkpoint",
    "probe",
    "evaluation",
    "export",
)
"""In the order in which a run comes to them."""
TRAINING = MOMENTS[:5]
"""Those that a run comes to before its last step is done."""


def announce(pipe: int) -> None:
    """Makes this process, which will call a command, announce its phases.

    Args:
        pipe: where the lines go.
    """
    from sslkit import execution, runs
    from sslkit.checkpoints import files
    from sslkit.export import saved_model
    from sslkit.training.loop import Loop

    def told(what: str, call: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(call)
        def calling(*args: Any, **named: Any) -> Any:
            os.write(pipe, f"begin {what}\n".encode())
            try:
                return call(*args, **named)
            finally:
                os.write(pipe, f"end {what}\n".encode())

        return calling

    first, steps = Loop._first, Loop._steps

    def tracing(self: Loop, *args: Any) -> Any:
        # The first step is done within; it belongs to the phase `trace`.
        self._steps = functools.partial(steps, self)  # type: ignore[method-assign]
        try:
            return first(self, *args)
        finally:
            del self._steps

    for owner, name, what, call in (
        (Loop, "_first", "trace", tracing),
        (Loop, "_steps", "step", steps),
        (files, "write_values", "checkpoint", files.write_values),
        (runs, "_knn", "probe", runs._knn),
        (execution, "measure", "evaluation", execution.measure),
        (saved_model, "export", "export", saved_model.export),
    ):
        setattr(owner, name, told(what, call))
    os.write(pipe, b"begin start\n")
