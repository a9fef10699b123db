"""Steps that may crash or hang: `python -m sslkit.doctor.probe` in its own process.

It writes a JSON line to a file as each step begins and as it ends, so that the process
that waits for it knows which steps were finished.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
import uuid
from collections.abc import Callable, Iterable
from typing import Any

_FEW = 1000
"""How many entries of a data folder are searched for a file to read."""


class Notes:
    """The file that the lines are written to.

    Args:
        path: its path.
    """

    def __init__(self, path: str):
        """Opens the file."""
        self._file = open(path, "w", encoding="utf-8")  # noqa: SIM115 - to the end

    def step(self, name: str, do: Callable[[], Any]) -> bool:
        """Runs a step and writes how it ended; returns whether it succeeded."""
        self._note(step=name)
        began = time.monotonic()
        try:
            found = do()
        except Exception as error:
            said = str(error).strip().splitlines()
            # The last line of an ImportError says most; of other errors, the first.
            line = "" if not said else said[-1 if isinstance(error, ImportError) else 0]
            self._note(step=name, error=f"{type(error).__name__}: {line.strip()}")
            return False
        self._note(step=name, seconds=time.monotonic() - began, found=found)
        return True

    def _note(self, **line: Any) -> None:
        self._file.write(json.dumps(line, default=str) + "\n")
        self._file.flush()


def tensorflow(notes: Notes) -> None:
    """Imports what sslkit needs, and computes a convolution on every device."""
    for name in ("numpy", "google.protobuf", "h5py"):
        notes.step(name, lambda name=name: _version(name))  # type: ignore[misc]
    if not notes.step("tensorflow", lambda: _version("tensorflow")):
        return
    notes.step("build", _build)
    notes.step("keras", _keras)
    notes.step("devices", _devices)
    import tensorflow as tf

    for device in tf.config.list_logical_devices():
        if device.device_type in ("CPU", "GPU"):
            name = f"{device.device_type}:{device.name.rpartition(':')[2]}"
            notes.step(f"compute {name}", lambda name=name: _compute(name))  # type: ignore[misc]
    for name in ("tensorflow_datasets", "sklearn", "matplotlib"):
        notes.step(name, lambda name=name: _version(name))  # type: ignore[misc]


def _version(module: str) -> str:
    return str(getattr(importlib.import_module(module), "__version__", ""))


def _build() -> dict[str, Any]:
    import tensorflow as tf

    return dict(tf.sysconfig.get_build_info())


def _keras() -> dict[str, str]:
    import keras

    return {"version": keras.__version__, "backend": keras.backend.backend()}


def _devices() -> list[dict[str, str]]:
    import tensorflow as tf

    found = []
    for device in tf.config.list_physical_devices():
        details = {}
        if device.device_type == "GPU":
            details = tf.config.experimental.get_device_details(device)
            tf.config.experimental.set_memory_growth(device, True)
        found.append({"type": device.device_type, **details})
    return found


def _compute(device: str) -> None:
    import numpy as np
    import tensorflow as tf

    with tf.device(device):
        images = tf.ones([1, 8, 8, 4])
        kernel = tf.Variable(tf.ones([3, 3, 4, 5]))
        with tf.GradientTape() as tape:
            out = tf.nn.conv2d(images, kernel, 1, "VALID")
            total = tf.reduce_sum(tf.reshape(out, [36, 5]) @ tf.ones([5, 2]))
        gradient = tape.gradient(total, kernel)
    wanted = (36.0, 36 * 5 * 36 * 2.0, 72.0)
    found = (out.numpy().max(), total.numpy(), gradient.numpy().max())
    if not np.allclose(found, wanted):
        raise ArithmeticError(f"a convolution gives {found} instead of {wanted}")


def plugins(notes: Notes, titles: Iterable[str]) -> None:
    """Imports and verifies plugins, named as `objectives.fnc`."""
    from sslkit.plugins import load

    for title in titles:
        kind, _, name = title.partition(".")
        notes.step(title, lambda kind=kind, name=name: load(kind, name) and None)  # type: ignore[misc]


def write(notes: Notes, path: str) -> None:
    """Writes a file into a folder, or the nearest one above it, and removes it."""
    notes.step("write", lambda: _write_remote(path) if "://" in path else _write(path))


def _write(path: str) -> str:
    folder = os.path.abspath(path)
    while not os.path.exists(folder):
        folder = os.path.dirname(folder)
    if not os.path.isdir(folder):
        raise NotADirectoryError(f"{folder} is a file")
    name = os.path.join(folder, f".sslkit-doctor-{uuid.uuid4().hex[:8]}")
    try:
        with open(name, "wb") as file:
            file.write(b"sslkit")
            file.flush()
            os.fsync(file.fileno())
        os.rename(name, f"{name}-renamed")
        with open(f"{name}-renamed", "rb") as file:
            _expect(file.read())
    finally:
        for left in (name, f"{name}-renamed"):
            if os.path.exists(left):
                os.remove(left)
    return folder


def _write_remote(path: str) -> str:
    import tensorflow as tf

    mark = uuid.uuid4().hex[:8]
    first, second = (
        f"{path.rstrip('/')}/sslkit-doctor-{place}-{mark}" for place in ("from", "to")
    )
    try:
        with tf.io.gfile.GFile(first, "wb") as file:
            file.write(b"sslkit")
        tf.io.gfile.rename(first, second)
        with tf.io.gfile.GFile(second, "rb") as file:
            _expect(file.read())
    finally:
        for left in (first, second):
            if tf.io.gfile.exists(left):
                tf.io.gfile.remove(left)
    return path


def _expect(found: bytes) -> None:
    if found != b"sslkit":
        raise OSError("the file reads back differently from what was written")


def read(notes: Notes, path: str) -> None:
    """Lists a folder of data and reads the beginning of a file in it."""
    notes.step("read", lambda: _read_remote(path) if "://" in path else _read(path))


def _read(path: str) -> str:
    if os.path.isfile(path):
        _first_byte(path)
        return "a file"
    entries, left = len(os.listdir(path)), _FEW
    for folder, _, names in os.walk(path):
        for name in sorted(names):
            file = os.path.join(folder, name)
            if os.path.isfile(file):
                _first_byte(file)
                return f"{entries} entries"
        left -= 1 + len(names)
        if left < 0:
            break
    return f"{entries} entries, none of the first a file"


def _first_byte(path: str) -> None:
    with open(path, "rb") as file:
        file.read(1)


def _read_remote(path: str) -> str:
    import tensorflow as tf

    if not tf.io.gfile.isdir(path):
        with tf.io.gfile.GFile(path, "rb") as file:
            file.read(1)
        return "a file"
    return f"{len(tf.io.gfile.listdir(path))} entries"


if __name__ == "__main__":
    what, where, *rest = sys.argv[1:]
    if what == "tensorflow":
        tensorflow(Notes(where))
    elif what == "plugins":
        plugins(Notes(where), rest)
    else:
        {"write": write, "read": read}[what](Notes(where), *rest)
    sys.stdout.flush()
    # Libraries may hang when a process ends; there is nothing left to do for them.
    os._exit(0)
