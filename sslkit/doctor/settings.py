"""Environment variables and settings files that change what runs."""

from __future__ import annotations

import json
import os
import pathlib
from collections.abc import Iterator, Mapping

from sslkit import environment
from sslkit.doctor.finding import Finding
from sslkit.keras_backend import TENSORFLOW, VARIABLE

SHOWN = (
    "CONDA_PREFIX",
    "CUDA_HOME",
    "CUDA_VISIBLE_DEVICES",
    "KERAS_BACKEND",
    "KERAS_HOME",
    "LD_LIBRARY_PATH",
    "NVIDIA_VISIBLE_DEVICES",
    "OMP_NUM_THREADS",
    "PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION",
    "PYTHONPATH",
    "TF_CONFIG",
    "TF_DETERMINISTIC_OPS",
    "TF_ENABLE_ONEDNN_OPTS",
    "TF_FORCE_GPU_ALLOW_GROWTH",
    "TF_GPU_ALLOCATOR",
    "TF_USE_LEGACY_KERAS",
    "TF_XLA_FLAGS",
    "TFDS_DATA_DIR",
    "TMPDIR",
    "TPU_NAME",
    "VIRTUAL_ENV",
    "XDG_CACHE_HOME",
    "XLA_FLAGS",
)
"""The variables that a report shows. Others are not read, as they may be secrets."""


def check_settings(before: Mapping[str, str]) -> Iterator[Finding]:
    """Checks environment variables and Keras's settings file.

    Args:
        before: the variables that the command was started with; the command sets
            KERAS_BACKEND itself.
    """
    backend = before.get(VARIABLE) or TENSORFLOW
    if backend != TENSORFLOW:
        yield Finding(
            "note",
            VARIABLE,
            f"it is {backend!r}. The sslkit command does not use it, but in Python "
            f"`import sslkit` refuses it. Unset it, or set it to {TENSORFLOW}",
        )
    yield from _keras_file(before)
    legacy = before.get("TF_USE_LEGACY_KERAS", "").lower() in ("1", "true")
    if legacy and environment.version("tf-keras") is None:
        yield Finding(
            "note",
            "TF_USE_LEGACY_KERAS",
            "it asks for Keras 2, but tf-keras is not installed, so `tf.keras` fails. "
            "sslkit itself uses Keras 3. Unset it, or pip install tf-keras",
        )
    elif legacy:
        yield Finding(
            "note",
            "TF_USE_LEGACY_KERAS",
            "it makes `tf.keras` Keras 2, but sslkit uses Keras 3, and layers of the "
            "two do not work together. Use `import keras` in plugins",
        )
    if before.get("PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION") == "python":
        yield Finding(
            "note",
            "protobuf",
            "PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION is python, which is slow. Unset it",
        )
    if before.get("CUDA_VISIBLE_DEVICES", "0") in ("", "-1"):
        yield Finding(
            "note", "CUDA_VISIBLE_DEVICES", "it hides every GPU. Unset it to use them"
        )


def _keras_file(before: Mapping[str, str]) -> Iterator[Finding]:
    home = before.get("KERAS_HOME")
    folder = pathlib.Path(home) if home else pathlib.Path.home() / ".keras"
    path = folder / "keras.json"
    try:
        text = path.read_text(encoding="utf-8")
    except OSError:
        return
    shown = environment.at_home(os.fspath(path))
    try:
        found = json.loads(text)
        backend = found.get("backend", TENSORFLOW)
    except (ValueError, AttributeError):
        yield Finding("broken", "Keras", f"{shown} is damaged. Remove it")
        return
    if backend != TENSORFLOW:
        yield Finding(
            "note",
            "Keras",
            f"{shown} sets the backend {backend!r}; sslkit uses {TENSORFLOW} anyway",
        )
    kind = found.get("floatx", "float32")
    if kind != "float32":
        yield Finding(
            "broken",
            "Keras",
            f"{shown} sets floatx to {kind!r}, but sslkit computes in float32. Set it "
            "to float32, or remove the file",
        )
    if found.get("image_data_format", "channels_last") != "channels_last":
        yield Finding(
            "broken",
            "Keras",
            f"{shown} sets image_data_format to {found['image_data_format']!r}, but "
            "sslkit needs channels_last. Change it, or remove the file",
        )
