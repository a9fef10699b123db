"""GPUs that other processes use too: only those in use are claimed, and not whole."""

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
"""How TensorFlow, XLA and NVIDIA's libraries say that memory ran out."""
_DISK = ("no space left", "quota exceeded")
"""How a full disk says it, in an error of the same type."""


def there() -> list[str]:
    """Returns the GPUs of this machine that the process may use, e.g. `GPU:0`."""
    return [f"GPU:{index}" for index, _ in enumerate(_physical())]


def claim(names: Sequence[str], *, memory_growth: bool) -> list[str]:
    """Makes some GPUs the only ones that this process touches.

    TensorFlow makes a context on each GPU it sees and takes nearly all of their memory,
    so that nobody else can run beside it. Neither can be changed once it has started:
    in a process where it has, GPUs stay as they are.

    Args:
        names: of `there`; none for a run on the CPU.
        memory_growth: whether memory is taken as it is needed, and not at once.

    Returns:
        Their names in this process: TensorFlow counts those that it sees from 0.

    Raises:
        UserError: if TensorFlow started before, and does not see one of them.
    """
    physical = dict(zip(there(), _physical(), strict=True))
    wanted = [physical[name] for name in names]
    # Errors: TensorFlow has started, or somebody has split the GPU.
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
            "cannot take it any more. Start a new process."
        )
    return [f"GPU:{visible.index(gpu)}" for gpu in wanted]


def hide() -> None:
    """Leaves all GPUs to others, for what is done on the CPU alone."""
    claim([], memory_growth=False)


def is_out_of_memory(error: BaseException) -> bool:
    """Returns whether an error of TensorFlow says that a device's memory ran out.

    NVIDIA's libraries say it as an internal error where another process has the
    memory; a full disk is an error of the same type and not meant.
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
