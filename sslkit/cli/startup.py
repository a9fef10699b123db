"""Starting TensorFlow without the messages that its C++ code writes to stderr."""

from __future__ import annotations

import contextlib
import os
import platform
import sys
import tempfile
from collections.abc import Iterator

NEEDLESS = ("matplotlib", "sklearn")
"""Packages that Keras imports if they are installed, for wrappers and drawings that no
command uses. They take more than a third of the time of importing TensorFlow."""


@contextlib.contextmanager
def quiet_stderr() -> Iterator[None]:
    """Hides what the process writes to file descriptor 2; shows it after an error.

    TensorFlow's C++ code writes log lines before any log setting takes effect.
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
    """Makes packages look as if they were not installed, unless imported already.

    Modules that are imported meanwhile do without them; afterwards they can be
    imported again.

    Args:
        packages: names of top-level packages.
    """
    hidden = [name for name in packages if name not in sys.modules]
    # `import` takes None for a package that is not installed.
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]


def start_tensorflow(*, quiet: bool = True) -> None:
    """Imports TensorFlow and Keras, and looks for the devices.

    By default TensorFlow uses oneDNN's kernels only on the newest x86 processors. On an
    older one with AVX2 a training step is 1.6 times as fast with them, so they are used
    on all x86 processors, unless the variable TF_ENABLE_ONEDNN_OPTS says otherwise.

    Args:
        quiet: whether to hide what TensorFlow writes to standard error meanwhile.
    """
    if platform.machine() in ("x86_64", "AMD64"):
        # TensorFlow reads it once, when it is imported.
        os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    with quiet_stderr() if quiet else contextlib.nullcontext(), without(NEEDLESS):
        import keras  # noqa: F401
        import tensorflow as tf

        if not quiet:
            return
        # It warns of retracing when one line of code makes several functions.
        tf.get_logger().setLevel("ERROR")
        # Not the logical ones: a runner may still split the CPU.
        tf.config.list_physical_devices()
