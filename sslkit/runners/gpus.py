"""Sharing GPUs with other processes: which are used, and how much memory is taken."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

import tensorflow as tf

from sslkit.api import UserError

_MEMORY = (
    "out of memory",
    "out_of_memory",
    "oom when allocating",
    "failed to allocate",
    "alloc_failed",
)
"""Phrases with which TensorFlow, XLA and NVIDIA's libraries report lack of memory."""
_DISK = ("no space left", "quota exceeded")
"""Phrases for a full disk, in an error of the same type."""


def there() -> list[str]:
    """Returns the GPUs of this machine that the process may use, e.g. `GPU:0`."""
    return [f"GPU:{index}" for index, _ in enumerate(_physical())]


def claim(names: Sequence[str], *, memory_growth: bool) -> list[str]:
    """Makes some GPUs the only ones that this process uses.

    By default TensorFlow makes a context on each GPU that it sees and takes nearly all
    of its memory, so that no other process can use it. Neither can be changed after
    TensorFlow has started its devices; then the GPUs stay as they are.

    Args:
        names: some of `there`; empty for a run on the CPU.
        memory_growth: whether memory is taken as it is needed, and not at once.

    Returns:
        Their names in this process: TensorFlow counts those that it sees from 0.

    Raises:
        UserError: if TensorFlow started before, and does not see one of them.
    """
    physical = dict(zip(there(), _physical(), strict=True))
    wanted = [physical[name] for name in names]
    # Errors: TensorFlow has started, or the GPU was split into logical devices.
    with contextlib.suppress(RuntimeError):
        tf.config.set_visible_devices(wanted, "GPU")
    if memory_growth:
        for gpu in wanted:
            with contextlib.suppress(RuntimeError, ValueError):
                tf.config.experimental.set_memory_growth(gpu, True)
    visible = tf.config.get_visible_devices("GPU")
    hidden = [name for name in names if physical[name] not in visible]
    if hidden:
        raise UserError(
            f"{', '.join(hidden)}: TensorFlow started in this process without it and "
            "cannot use it any more. Start a new process."
        )
    return [f"GPU:{visible.index(gpu)}" for gpu in wanted]


def hide() -> None:
    """Uses no GPU in this process, for work on the CPU only."""
    claim([], memory_growth=False)


def is_out_of_memory(error: BaseException) -> bool:
    """Returns whether an error of TensorFlow says that a device's memory ran out.

    NVIDIA's libraries raise an internal error if another process has the memory. A full
    disk raises an error of the same type, which does not count.
    """
    if not isinstance(error, tf.errors.OpError):
        return False
    text = str(error).lower()
    if any(words in text for words in _DISK):
        return False
    exhausted = isinstance(error, tf.errors.ResourceExhaustedError)
    return exhausted or any(words in text for words in _MEMORY)


def _physical() -> list[tf.config.PhysicalDevice]:
    return tf.config.list_physical_devices("GPU")
