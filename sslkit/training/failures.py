"""One-line advice for errors of the device: memory, XLA, determinism."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

import tensorflow as tf

from sslkit.api import Runner, UserError
from sslkit.runners.gpus import is_out_of_memory
from sslkit.source import is_of_pipeline

if TYPE_CHECKING:
    from sslkit.training.run import Training

_XLA = (
    tf.errors.InternalError,
    tf.errors.InvalidArgumentError,
    tf.errors.UnimplementedError,
    tf.errors.UnknownError,
)
"""Errors of XLA when it cannot compile a step, or cannot run what it compiled."""
_NOT_DETERMINISTIC = ("deterministic implementation", "determinism is", "deterministic")
_NOISE = (
    "Graph execution error",
    "Detected at node",
    "Stack trace",
    "File ",
    "[[{{node",
    "[Op:",
    "tf2xla conversion failed while",
)
"""Beginnings of lines that say where an error is, and not what it is."""


@contextlib.contextmanager
def explained(training: Training) -> Iterator[None]:
    """Says in one line what can be done about an error of the device.

    Args:
        training: what runs inside.

    Raises:
        UserError: in place of an error of TensorFlow about which the user can do
            something.
    """
    runner, arithmetic = training.runner, training.arithmetic
    try:
        yield
    except tf.errors.OpError as error:
        if is_out_of_memory(error):
            raise UserError(_memory(training, telling(error))) from error
        if not isinstance(error, _XLA) or is_of_pipeline(error):
            raise
        text = str(error).lower()
        if arithmetic.deterministic and any(w in text for w in _NOT_DETERMINISTIC):
            raise UserError(
                "train.deterministic is set, and the device has no deterministic "
                f"operation for a part of the step ({telling(error)}). "
                f"{_without_xla(runner, 'Turn XLA off, which may have one')}set "
                "train.deterministic = False."
            ) from error
        if runner.jit:
            raise UserError(
                f"the step that XLA compiles has failed ({telling(error)}). "
                f"{_without_xla(runner, 'Turn XLA off')}"
                "--debug shows all of it; without XLA the same error is not XLA's."
            ) from error
        raise


def telling(error: BaseException) -> str:
    """Returns the line of an error of TensorFlow that says what went wrong.

    The first lines are often `Graph execution error:` and where the function was
    defined.
    """
    lines = [line.strip() for line in str(error).splitlines()]
    lines = [line.partition(" [Op:")[0].rstrip() for line in lines]
    told = [line for line in lines if line and not line.startswith(_NOISE)]
    words = (told or [type(error).__name__])[0].rstrip(".:")
    return words if len(words) <= 200 else f"{words[:199]}…"


def _without_xla(runner: Runner, what: str) -> str:
    if not runner.jit:
        return "Or "
    option = runner.jit_option
    return f"{what}: {option}; or " if option else f"{what}; or "


def _memory(training: Training, found: str) -> str:
    images = training.batch_size // training.runner.strategy.num_replicas_in_sync
    views = " and ".join(
        f"{count} {name} view(s) of {size} px"
        for name, (count, size) in training.augmentation.groups.items()
    )
    precision, half = training.arithmetic.precision, ""
    if precision == "float32":
        half = ", or set train.precision = 'bfloat16'"
    return (
        f"out of memory ({found}): a replica has {images} images of {views}, in "
        f"{precision}. Lower train.batch_size, the number or the size of the views"
        f"{half}; other processes on the device take memory too. `sslkit plan` with "
        "the same recipe counts what a replica needs."
    )
