"""Starting TensorFlow without the notes it writes past Python's standard error."""

from __future__ import annotations

import contextlib
import os
import platform
import sys
import tempfile
from collections.abc import Iterator

NEEDLESS = ("matplotlib", "sklearn")
"""What Keras imports where it is installed, for wrappers and drawings that no command
uses: more than a third of the time that importing TensorFlow takes."""


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


@contextlib.contextmanager
def without(packages: tuple[str, ...]) -> Iterator[None]:
    """Has packages look as if they were not installed, but for those that are imported.

    What is imported meanwhile goes on without them; afterwards they may be imported.

    Args:
        packages: names of top-level packages.
    """
    hidden = [name for name in packages if name not in sys.modules]
    # What `import` takes for a package that is not there.
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]


def start_tensorflow(*, hush: bool = True) -> None:
    """Imports TensorFlow and Keras, and looks for the devices.

    By itself TensorFlow takes oneDNN's kernels on the newest x86 processors alone. A
    training step on one that has AVX2 is 1.6 times as fast with them, so they are taken
    there, too, unless the variable TF_ENABLE_ONEDNN_OPTS says otherwise.

    Args:
        hush: whether to drop what TensorFlow writes to standard error meanwhile.
    """
    if platform.machine() in ("x86_64", "AMD64"):
        # TensorFlow reads it once, when it is imported.
        os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    with hushed() if hush else contextlib.nullcontext(), without(NEEDLESS):
        import keras  # noqa: F401
        import tensorflow as tf

        if not hush:
            return
        # It warns of retracing when several functions from one line of code are traced.
        tf.get_logger().setLevel("ERROR")
        # Not the logical ones: a runner may still split the CPU.
        tf.config.list_physical_devices()
