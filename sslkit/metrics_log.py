"""The record of a run's metrics: JSON lines for programs, event files for TensorBoard.

Event files are written as what they are, TFRecord files of Event messages. That needs
no TensorBoard package and no global summary writer.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import socket
import time
from collections.abc import Callable, Mapping
from types import TracebackType

import tensorflow as tf

from sslkit import storage
from sslkit.errors import UserError

_RESERVED = ("step", "time")
_EVENTS = "events.out.tfevents."


class MetricsLog:
    """Appends metrics to `metrics.jsonl` and `tensorboard/` in a run's folder.

    A line of `metrics.jsonl` is `{"step": 10, "time": 1700000000.0, "loss": 1.5}`:
    updates done, seconds since 1970, then the metrics. What is not finite is null,
    because JSON has no word for it; TensorBoard gets the number as it is.
    """

    def __init__(
        self,
        workdir: str | os.PathLike[str],
        resume_step: int,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Opens the record.

        Args:
            workdir: the run's folder; made if missing.
            resume_step: updates done by the checkpoint that the run goes on from, 0
                for a fresh one. Lines of later steps are dropped: those steps are
                about to be done again.
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
            self._events = _event_writer(
                os.path.join(folder, "tensorboard"), resume_step, clock()
            )

    def write(self, step: int, metrics: Mapping[str, float]) -> None:
        """Appends one line and one event, and flushes both.

        Args:
            step: updates done.
            metrics: name -> number; anything `float` takes.

        Raises:
            ValueError: if a metric is called `step` or `time`.
            UserError: if it cannot be written, e.g. because the disk is full; a line
                that was cut off by that is dropped when the run goes on.
        """
        for name in _RESERVED:
            if name in metrics:
                raise ValueError(f"{name!r} is a field of every line, not a metric")
        now = self._clock()
        values = {name: float(value) for name, value in metrics.items()}
        line: dict[str, float | None] = {"step": int(step), "time": now}
        line |= {n: v if math.isfinite(v) else None for n, v in values.items()}
        event = tf.compat.v1.Event(wall_time=now, step=int(step))
        for name, value in values.items():
            entry = event.summary.value.add(tag=name)
            entry.metadata.plugin_data.plugin_name = "scalars"
            entry.tensor.CopyFrom(tf.make_tensor_proto(value, tf.float32, shape=[]))
        with self._writing():
            self._lines.write(json.dumps(line, allow_nan=False) + "\n")
            self._lines.flush()
            self._events.write(event.SerializeToString())
            self._events.flush()

    def close(self) -> None:
        """Closes the files; closing twice is harmless.

        Raises:
            UserError: if what is not on the disk yet cannot be written.
        """
        with self._writing():
            self._lines.close()
            self._events.close()

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
        """Closes the files; an error that is on its way hides one of closing."""
        with contextlib.suppress(UserError) if error else contextlib.nullcontext():
            self.close()


def _drop_after(path: str, step: int) -> None:
    """Rewrites a file of JSON lines without the steps after `step`, atomically.

    A line that was cut off when a run was killed goes too.
    """
    if not tf.io.gfile.exists(path):
        return
    with tf.io.gfile.GFile(path) as file:
        lines = file.read().splitlines(keepends=True)
    kept = [line for line in lines if _is_until(line, step)]
    if kept == lines:
        return
    with storage.replacing(path) as beside, tf.io.gfile.GFile(beside, "w") as file:
        file.write("".join(kept))


def _is_until(line: str, step: int) -> bool:
    try:
        return line.endswith("\n") and json.loads(line)["step"] <= step
    except (ValueError, KeyError, TypeError):
        return False


def _event_writer(folder: str, step: int, now: float) -> tf.io.TFRecordWriter:
    """Opens a new event file; TensorBoard forgets what it knew of later steps."""
    tf.io.gfile.makedirs(folder)
    # Readers take the files of a folder in the order of their names.
    stem = f"{_EVENTS}{int(now):010d}.{socket.gethostname()}"
    taken = sum(name.startswith(_EVENTS) for name in storage.names(folder))
    writer = tf.io.TFRecordWriter(os.path.join(folder, f"{stem}.{os.getpid()}.{taken}"))
    version = tf.compat.v1.Event(wall_time=now, file_version="brain.Event:2")
    writer.write(version.SerializeToString())
    if step > 0:
        # Purges from this step on, inclusive; the step itself was reported before.
        restart = tf.compat.v1.Event(wall_time=now, step=step + 1)
        restart.session_log.status = tf.compat.v1.SessionLog.START
        writer.write(restart.SerializeToString())
    writer.flush()
    return writer
