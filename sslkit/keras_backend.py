"""The backend of Keras, which must be TensorFlow."""

from __future__ import annotations

import os
import sys

from sslkit.errors import UserError

VARIABLE = "KERAS_BACKEND"
TENSORFLOW = "tensorflow"


def require_tensorflow() -> None:
    """Refuses another backend of Keras, before Keras is imported with it.

    If no backend is set, TensorFlow is chosen, whatever Keras's configuration file has.
    The `sslkit` command has its own process, and sets the variable instead.

    Raises:
        UserError: if the variable KERAS_BACKEND names another backend, or Keras is
            already imported with another.
    """
    loaded = sys.modules.get("keras")
    if loaded is not None:
        chosen = loaded.backend.backend()
        if chosen != TENSORFLOW:
            raise UserError(
                f"Keras uses the backend {chosen!r} in this process and sslkit needs "
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
