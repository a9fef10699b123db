"""Checkpoints: files of named tensors, written whole or not at all.

A checkpoint is in TensorFlow's own format with the table's names as its keys, so
`tf.train.load_checkpoint(prefix)` reads it anywhere.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Protocol

import numpy as np
import tensorflow as tf

from sslkit.errors import UserError
from sslkit.storage import reaching

CHECKPOINTS = "checkpoints"
"""A run's checkpoints are in this folder of its workdir."""

_DATA = ".data-00000-of-00001"


class Assignable(Protocol):
    """What a table holds: keras variables, or anything with these three."""

    shape: tuple[int, ...]

    def assign(self, value: np.ndarray) -> object:
        """Sets the value."""

    def numpy(self) -> np.ndarray:
        """Reads the value."""


Table = Mapping[str, Assignable]


class Checkpoints:
    """The checkpoints of one run, the latest few of them.

    Args:
        folder: where they are; made when the first is saved.
        keep: how many to keep.
    """

    def __init__(self, folder: str, *, keep: int = 3):
        """Keeps the options; see the class."""
        if keep < 1:
            raise UserError(f"train.keep is {keep}; it is 1 or more.")
        self._folder = folder
        self._keep = keep

    def prefixes(self) -> list[str]:
        """Returns the complete checkpoints, oldest first."""
        found = {}
        for path in tf.io.gfile.glob(os.path.join(self._folder, "step_*.index")):
            prefix = path.removesuffix(".index")
            step = _name(prefix)
            # A write or a removal that was cut off leaves other names, or an index
            # without its data.
            if step.isdigit() and is_whole(prefix):
                found[int(step)] = prefix
        return [found[step] for step in sorted(found)]

    def latest(self) -> str | None:
        """Returns the newest complete checkpoint's prefix, or None."""
        prefixes = self.prefixes()
        return prefixes[-1] if prefixes else None

    def describe_latest(self) -> str:
        """Says which checkpoint is the newest, for messages."""
        latest = self.latest()
        return f"the last checkpoint is {latest}" if latest else "no checkpoint exists"

    def save(self, table: Table, *, step: int) -> str:
        """Writes a checkpoint and forgets the oldest beyond `keep`.

        Returns:
            Its prefix, `<folder>/step_<step>`.

        Raises:
            UserError: if it cannot be written; earlier checkpoints are untouched.
        """
        prefix = os.path.join(self._folder, f"step_{step:08d}")
        earlier = [path for path in self.prefixes() if path != prefix]
        try:
            tf.io.gfile.makedirs(self._folder)
            write(table, prefix)
        except (tf.errors.OpError, OSError) as error:
            reason = str(error).partition("\n")[0]
            raise UserError(
                f"the checkpoint {prefix} cannot be written: {reason}. "
                + (f"The last good one is {earlier[-1]}." if earlier else "")
            ) from error
        for path in earlier[: max(0, len(earlier) + 1 - self._keep)]:
            _remove(path)
        for file in tf.io.gfile.glob(os.path.join(self._folder, "*.partial*")):
            tf.io.gfile.remove(file)  # Of a process that was killed while it wrote.
        return prefix


def find_checkpoint(path: str) -> str:
    """Returns the checkpoint prefix that a path means.

    Args:
        path: a run's workdir (its latest checkpoint is meant), or a prefix such as
            `W/checkpoints/step_00001000`; also the prefix of a published checkpoint,
            such as `model.ckpt-1234`, or its folder.

    Raises:
        UserError: if there is none.
    """
    with reaching("the checkpoint", path):
        if tf.io.gfile.exists(f"{path}.index"):
            return path
        folder = os.path.join(path, CHECKPOINTS)
        # What TensorFlow itself writes has a file `checkpoint` that names the latest.
        prefix = Checkpoints(folder).latest() or tf.train.latest_checkpoint(path)
    if prefix is None:
        raise UserError(
            f"there is no checkpoint at {path}: neither {path}.index nor a run's "
            f"{CHECKPOINTS}/ folder in it. Name a workdir, or a prefix such as "
            f"W/{CHECKPOINTS}/step_00001000."
        )
    return prefix


def is_whole(prefix: str) -> bool:
    """Returns whether both files of a checkpoint are there."""
    return all(tf.io.gfile.exists(f"{prefix}{part}") for part in (".index", _DATA))


def step_of(prefix: str) -> int:
    """Returns the step in a checkpoint's name."""
    return int(_name(prefix))


def _name(prefix: str) -> str:
    return os.path.basename(prefix).removeprefix("step_")


def write(table: Table, prefix: str) -> None:
    """Writes a table to `<prefix>.index` and `<prefix>.data-00000-of-00001`.

    The index appears last and in one move, so a checkpoint that has one is whole.
    """
    names = list(table)
    partial = f"{prefix}.partial"
    try:
        with tf.device("CPU:0"):
            tf.raw_ops.SaveV2(
                prefix=partial,
                tensor_names=names,
                shape_and_slices=[""] * len(names),
                tensors=[tf.constant(table[name].numpy()) for name in names],
            )
        if tf.io.gfile.exists(f"{prefix}.index"):
            tf.io.gfile.remove(f"{prefix}.index")
        for part in (_DATA, ".index"):
            tf.io.gfile.rename(f"{partial}{part}", f"{prefix}{part}", overwrite=True)
    except (tf.errors.OpError, OSError):
        _remove(partial)
        raise


def _remove(prefix: str) -> None:
    # The index goes first: without it what is left is no checkpoint.
    for file in sorted(tf.io.gfile.glob(f"{prefix}.*"), key=_is_data):
        tf.io.gfile.remove(file)


def _is_data(path: str) -> bool:
    return not path.endswith(".index")


def read(prefix: str) -> tf.train.CheckpointReader:
    """Opens a checkpoint.

    Raises:
        UserError: if there is none or it is damaged.
    """
    try:
        # Not `load_checkpoint`, which first asks whether the prefix is a folder.
        return tf.compat.v1.train.NewCheckpointReader(prefix)
    except (tf.errors.OpError, ValueError, RuntimeError) as error:
        reason = str(error).partition("\n")[0]
        raise UserError(f"{prefix} is no readable checkpoint: {reason}") from error


def restore(table: Table, prefix: str) -> None:
    """Sets every variable of a table from a checkpoint, all of them or none.

    Raises:
        UserError: if names or shapes differ; the message names them.
    """
    reader = read(prefix)
    saved = reader.get_variable_to_shape_map()
    missing = sorted(set(table) - set(saved))
    extra = sorted(set(saved) - set(table))
    if missing or extra:
        parts = [
            f"{len(names)} {what}, first {names[0]!r}"
            for names, what in (
                (missing, "variables it lacks"),
                (extra, "that this run does not have"),
            )
            if names
        ]
        raise UserError(
            f"{prefix} is a checkpoint of another model: {'; '.join(parts)}."
        )
    assign(table, reader, prefix)


def assign(table: Table, reader: tf.train.CheckpointReader, prefix: str) -> None:
    """Sets the variables of a table from an open checkpoint that has all its names.

    Raises:
        UserError: if a shape differs or a value cannot be read; nothing is set then.
    """
    shapes = reader.get_variable_to_shape_map()
    for name, variable in table.items():
        if tuple(shapes[name]) != tuple(variable.shape):
            raise UserError(
                f"{prefix}: {name} has shape {tuple(shapes[name])} there and "
                f"{tuple(variable.shape)} here. Is it a checkpoint of another model?"
            )
    values = values_of(reader, table, prefix)
    for name, variable in table.items():
        variable.assign(values[name])


def values_of(
    reader: tf.train.CheckpointReader, names: Iterable[str], prefix: str
) -> dict[str, np.ndarray]:
    """Reads variables of an open checkpoint.

    Raises:
        UserError: if one cannot be read.
    """
    try:
        return {name: reader.get_tensor(name) for name in names}
    except (tf.errors.OpError, IndexError) as error:
        # A file that ends too early is an IndexError.
        reason = str(error).partition("\n")[0]
        raise UserError(
            f"{prefix} is damaged: {reason}. Remove its files, and a run goes on from "
            "the checkpoint before it."
        ) from error
