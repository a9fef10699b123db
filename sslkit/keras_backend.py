"""On what Keras runs: TensorFlow, for everything here."""

from __future__ import annotations

import os
import sys

from sslkit.errors import UserError

VARIABLE = "KERAS_BACKEND"
TENSORFLOW = "tensorflow"


def require_tensorflow() -> None:
    """Refuses another backend of Keras before Keras is imported on it.

    Where nothing is said, TensorFlow is chosen, whatever Keras' own file of settings
    has. The `sslkit` command, whose process is its own, sets the variable instead.

    Raises:
        UserError: if the variable KERAS_BACKEND names another backend, or Keras is
            imported on another.
    """
    loaded = sys.modules.get("keras")
    if loaded is not None:
        chosen = loaded.backend.backend()
        if chosen != TENSORFLOW:
            raise UserError(
                f"Keras runs on {chosen!r} in this process and sslkit needs "
                f"{TENSORFLOW!r}. Set {VARIABLE}={TENSORFLOW} before Keras is imported."
            )
        return
    chosen = os.environ.get(VARIABLE) or TENSORFLOW
    if chosen != TENSORFLOW:
        raise UserError(
            f"{VARIABLE} is {chosen!r} and sslkit needs {TENSORFLOW!r}. Unset it, or "
            f"set it to {TENSORFLOW}, before Keras is imported."
        )
    os.environ[VARIABLE] = TENSORFLOW
