"""Starting TensorFlow without the notes it writes past Python's standard error."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator


@contextlib.contextmanager
def hushed() -> Iterator[None]:
    """Drops what the process writes to file descriptor 2; shows it after an error.

    TensorFlow's C++ parts log before any setting of theirs takes effect.
    """
    sys.stderr.flush()
    with tempfile.TemporaryFile() as kept:
        terminal = os.dup(2)
        os.dup2(kept.fileno(), 2)
        try:
            yield
        except BaseException:
            kept.seek(0)
            os.write(terminal, kept.read())
            raise
        finally:
            sys.stderr.flush()
            os.dup2(terminal, 2)
            os.close(terminal)


def start_tensorflow() -> None:
    """Imports TensorFlow and looks for its devices, hushed."""
    with hushed():
        import tensorflow as tf

        # It warns of retracing when several functions from one line of code are traced.
        tf.get_logger().setLevel("ERROR")
        # Not the logical ones: a runner may still split the CPU.
        tf.config.list_physical_devices()
