"""TensorBoard: a run's numbers, texts, pictures, hyperparameters and accuracies.

Event files are TFRecord files of Event messages, and are written as such. That needs
neither the TensorBoard package nor a global summary writer.
"""

from __future__ import annotations

import os
import socket
import time as clock
from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

import tensorflow as tf

from sslkit import storage
from sslkit.api import Reporter, RunInfo
from sslkit.reporter import Setting
from sslkit.reporters import hparams
from sslkit.reporters.accuracies import accuracies

_EVENTS = "events.out.tfevents."
_Value: TypeAlias = Any
"""A `tf.compat.v1.Summary.Value`, whose class exists only at run time."""


class TensorBoard(Reporter):
    """Writes event files to `tensorboard/` in the run's folder.

    They have curves of the metrics and, under `machine/`, of speed and memory; the
    configuration, software and devices as texts; a contact sheet of the views; and
    hyperparameters with the final accuracies, for the HParams page.
    """

    def open(self, run: RunInfo) -> None:
        """Implements `Reporter.open`."""
        self._writer = _writer(run.workdir, after=run.start)
        self._write(0, [*_texts(run), hparams.begin(run.settings, clock.time())])

    def write(
        self,
        step: int,
        metrics: Mapping[str, float],
        *,
        time: float,
        machine: Mapping[str, Setting],
    ) -> None:
        """Implements `Reporter.write`."""
        numbers = {
            f"machine/{name}": value
            for name, value in machine.items()
            if not isinstance(value, str)
        }
        values = [_scalar(*item) for item in {**metrics, **numbers}.items()]
        self._write(step, values, time)

    def picture(self, name: str, png: bytes, *, step: int) -> None:
        """Implements `Reporter.picture`."""
        height, width, _ = tf.io.decode_png(png).shape
        parts = [str(width).encode(), str(height).encode(), png]
        self._write(step, [_value(name, "images", tf.make_tensor_proto(parts))])

    def result(self, run: RunInfo, result: Mapping[str, Any]) -> None:
        """Implements `Reporter.result`."""
        # Not as a resumed run: nothing that was reported is removed.
        self._writer = _writer(run.workdir, after=None)
        values = [_scalar(*item) for item in accuracies(result).items()]
        if run.start >= run.steps:
            values.append(hparams.end(clock.time()))
        self._write(run.start, values)
        self.close()

    def close(self) -> None:
        """Implements `Reporter.close`."""
        self._writer.close()

    def _write(
        self, step: int, values: Iterable[_Value], time: float | None = None
    ) -> None:
        now = clock.time() if time is None else time
        event = tf.compat.v1.Event(wall_time=now, step=step)
        event.summary.value.extend(values)
        self._writer.write(event.SerializeToString())
        self._writer.flush()


def _scalar(name: str, value: float) -> _Value:
    return _value(name, "scalars", tf.make_tensor_proto(value, tf.float32, shape=[]))


def _texts(run: RunInfo) -> list[_Value]:
    """Returns the configuration, software and devices as TensorBoard's Markdown."""
    facts = "".join(f"| {name} | {value} |\n" for name, value in run.facts.items())
    texts = {"about": f"| | |\n|---|---|\n{facts}"}
    if run.config:
        # Indented by four spaces, any text is code.
        code = "".join(f"    {line}\n" for line in run.config.splitlines())
        texts["configuration"] = code
    return [
        _value(name, "text", tf.make_tensor_proto(text, tf.string))
        for name, text in texts.items()
    ]


def _value(name: str, plugin: str, tensor: Any) -> _Value:
    value = tf.compat.v1.Summary.Value(tag=name, tensor=tensor)
    value.metadata.plugin_data.plugin_name = plugin
    return value


def _writer(workdir: str, *, after: int | None) -> tf.io.TFRecordWriter:
    """Opens a new event file.

    Args:
        workdir: the run's folder.
        after: TensorBoard removes the values of later steps than this, which a run that
            was killed may have reported after its last checkpoint; None to remove
            nothing.
    """
    folder = os.path.join(workdir, "tensorboard")
    now = clock.time()
    with storage.reaching("the TensorBoard folder", folder, verb="written"):
        tf.io.gfile.makedirs(folder)
        # Readers read the files of a folder in the order of their names.
        stem = f"{_EVENTS}{int(now):010d}.{socket.gethostname()}"
        taken = sum(name.startswith(_EVENTS) for name in storage.names(folder))
        path = os.path.join(folder, f"{stem}.{os.getpid()}.{taken}")
        writer = tf.io.TFRecordWriter(path)
        version = tf.compat.v1.Event(wall_time=now, file_version="brain.Event:2")
        writer.write(version.SerializeToString())
        if after is not None and taken:
            # It removes values from this step on, including it.
            restart = tf.compat.v1.Event(wall_time=now, step=after + 1)
            restart.session_log.status = tf.compat.v1.SessionLog.START
            writer.write(restart.SerializeToString())
        writer.flush()
    return writer
