"""Environment variables and files of settings that change what runs."""

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
"""The variables that a report shows. No other is looked at, for it may be a secret."""


def check_settings(before: Mapping[str, str]) -> Iterator[Finding]:
    """Looks at variables and at Keras' own file of settings.

    Args:
        before: the environment as the command was started with it; the command sets
            KERAS_BACKEND for itself.
    """
    backend = before.get(VARIABLE) or TENSORFLOW
    if backend != TENSORFLOW:
        yield Finding(
            "note",
            VARIABLE,
            f"it is {backend!r}. The sslkit command sets its own; `import sslkit` in "
            f"Python refuses it. Unset it, or set it to {TENSORFLOW}",
        )
    yield from _keras_file(before)
    legacy = before.get("TF_USE_LEGACY_KERAS", "").lower() in ("1", "true")
    if legacy and environment.version("tf-keras") is None:
        yield Finding(
            "note",
            "TF_USE_LEGACY_KERAS",
            "it asks for Keras 2, and tf-keras is not installed, so `tf.keras` fails. "
            "sslkit uses Keras 3 all the same. Unset it, or pip install tf-keras",
        )
    elif legacy:
        yield Finding(
            "note",
            "TF_USE_LEGACY_KERAS",
            "`tf.keras` is Keras 2, and sslkit uses Keras 3: layers of the two do not "
            "mix. Use `import keras` in plugins",
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
            f"{shown} names the backend {backend!r}; sslkit uses {TENSORFLOW} all the "
            "same",
        )
    kind = found.get("floatx", "float32")
    if kind != "float32":
        yield Finding(
            "broken",
            "Keras",
            f"{shown} sets floatx to {kind!r}, and sslkit computes in float32. Set it "
            "back, or remove the file",
        )
    if found.get("image_data_format", "channels_last") != "channels_last":
        yield Finding(
            "broken",
            "Keras",
            f"{shown} sets image_data_format to {found['image_data_format']!r}, and "
            "images here have their channels last. Set it back, or remove the file",
        )
