"""The record of a run's metrics: `metrics.jsonl`, with a JSON object per line."""

from __future__ import annotations

import contextlib
import json
import math
import os
import time as clocks
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any

import tensorflow as tf

from sslkit import storage
from sslkit.errors import UserError
from sslkit.reporter import Setting

_MACHINE = "machine"
_RESERVED = ("step", "time", _MACHINE)


class MetricsLog:
    """Appends metrics to `metrics.jsonl` in a run's folder.

    A line is `{"step": 10, "time": 1700000000.0, "loss": 1.5, "machine": {...}}`:
    updates done, seconds since 1970, then the metrics. `machine` has values that differ
    when a run is repeated (speed, memory, device). So runs can be compared by their
    lines without `time` and `machine`. Numbers that are not finite are null, because
    JSON has no other way to write them.
    """

    def __init__(
        self,
        workdir: str | os.PathLike[str],
        resume_step: int,
        *,
        clock: Callable[[], float] = clocks.time,
    ) -> None:
        """Opens the record.

        Args:
            workdir: the run's folder; made if missing.
            resume_step: the step of the checkpoint from which the run is resumed, 0 for
                a new run. Lines of later steps are dropped, because those steps will be
                done again.
            clock: seconds since 1970.

        Raises:
            UserError: if it cannot be written.
        """
        folder = os.fspath(workdir)
        self._path = os.path.join(folder, "metrics.jsonl")
        self._clock = clock
        with self._writing():
            tf.io.gfile.makedirs(folder)
            _drop_after(self._path, resume_step)
            self._lines = tf.io.gfile.GFile(self._path, "a")

    def write(
        self,
        step: int,
        metrics: Mapping[str, float],
        machine: Mapping[str, Setting] | None = None,
        time: float | None = None,
    ) -> None:
        """Appends one line, and flushes it.

        Args:
            step: updates done.
            metrics: name -> number; anything `float` takes.
            machine: values that differ when the run is repeated; left out if empty.
            time: seconds since 1970; now by default.

        Raises:
            ValueError: if a metric is called `step`, `time` or `machine`.
            UserError: if it cannot be written, e.g. because the disk is full. An
                incomplete line is dropped when the run is resumed.
        """
        for name in _RESERVED:
            if name in metrics:
                raise ValueError(f"{name!r} is a field of every line, not a metric")
        values = {name: float(value) for name, value in metrics.items()}
        line: dict[str, Any] = {
            "step": int(step),
            "time": self._clock() if time is None else time,
        }
        line |= {name: _finite(value) for name, value in values.items()}
        if machine:
            line[_MACHINE] = {name: _finite(value) for name, value in machine.items()}
        with self._writing():
            self._lines.write(json.dumps(line, allow_nan=False) + "\n")
            self._lines.flush()

    def close(self) -> None:
        """Closes the file; it may be called twice.

        Raises:
            UserError: if the rest of the data cannot be written to the disk.
        """
        with self._writing():
            self._lines.close()

    def _writing(self) -> contextlib.AbstractContextManager[None]:
        return storage.reaching("the metrics", self._path, verb="written")

    def __enter__(self) -> MetricsLog:
        """Returns the log itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Closes the file; an error of closing does not replace an earlier error."""
        with contextlib.suppress(UserError) if error else contextlib.nullcontext():
            self.close()


def _drop_after(path: str, step: int) -> None:
    """Rewrites a file of JSON lines without the steps after `step`, atomically.

    Incomplete lines, from a run that was killed, and damaged lines are dropped, too.
    """
    if not tf.io.gfile.exists(path):
        return
    # As bytes: a damaged line need not be text.
    with tf.io.gfile.GFile(path, "rb") as file:
        lines = [line + b"\n" for line in file.read().split(b"\n")]
    # After the last line end there is nothing, or an incomplete line.
    kept = [line for line in lines[:-1] if _is_until(line, step)]
    if kept == lines[:-1] and lines[-1] == b"\n":
        return
    with storage.replacing(path) as beside, tf.io.gfile.GFile(beside, "wb") as file:
        file.write(b"".join(kept))


def _is_until(line: bytes, step: int) -> bool:
    try:
        return bool(json.loads(line)["step"] <= step)
    except (ValueError, KeyError, TypeError, RecursionError):
        return False


def _finite(value: Setting) -> Setting | None:
    unknown = isinstance(value, float) and not math.isfinite(value)
    return None if unknown else value
