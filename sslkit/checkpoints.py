"""Checkpoints: files of named tensors, written whole or not at all.

A checkpoint is in TensorFlow's own format with the table's names as its keys, so
`tf.train.load_checkpoint(prefix)` reads it anywhere.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import weakref
from collections.abc import Iterable, Mapping
from typing import Any, Protocol

import numpy as np
import tensorflow as tf

from sslkit import storage
from sslkit.errors import UserError, first_line
from sslkit.storage import reaching

CHECKPOINTS = "checkpoints"
"""A run's checkpoints are in this folder of its workdir."""

_NOTE = ".note.json"
_DATA = ".data-00000-of-00001"
_INDEX = re.compile(r"(step_(\d+))\.index", re.ASCII)


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
        names = set(storage.names(self._folder))
        # A write or a removal that was cut off leaves other names, or an index without
        # its data.
        found = {
            int(match[2]): os.path.join(self._folder, match[1])
            for name in names
            if (match := _INDEX.fullmatch(name)) and f"{match[1]}{_DATA}" in names
        }
        return [found[step] for step in sorted(found)]

    def latest(self) -> str | None:
        """Returns the newest complete checkpoint's prefix, or None."""
        prefixes = self.prefixes()
        return prefixes[-1] if prefixes else None

    def describe_latest(self) -> str:
        """Says which checkpoint is the newest, for messages."""
        latest = self.latest()
        return f"the last checkpoint is {latest}" if latest else "no checkpoint exists"

    def save(
        self, table: Table, *, step: int, note: Mapping[str, Any] | None = None
    ) -> str:
        """Writes a checkpoint and forgets the oldest beyond `keep`.

        Args:
            table: what is saved.
            step: updates done.
            note: what else belongs to this step, of plain numbers, texts and mappings;
                it comes and goes with the checkpoint. See `read_note`.

        Returns:
            Its prefix, `<folder>/step_<step>`.

        Raises:
            UserError: if it cannot be written; earlier checkpoints are untouched.
        """
        prefix = os.path.join(self._folder, f"step_{step:08d}")
        earlier: list[str] = []
        try:
            earlier += (path for path in self.prefixes() if path != prefix)
            tf.io.gfile.makedirs(self._folder)
            write(table, prefix, note)
        except (tf.errors.OpError, OSError) as error:
            raise UserError(
                f"the checkpoint {prefix} cannot be written: {first_line(error)}. "
                + (f"The last good one is {earlier[-1]}." if earlier else "")
            ) from error
        with reaching("an old checkpoint in", self._folder, verb="removed"):
            for path in earlier[: max(0, len(earlier) + 1 - self._keep)]:
                _remove(path)
            for name in filter(storage.is_beside, storage.names(self._folder)):
                # Of a process that was killed while it wrote.
                tf.io.gfile.remove(os.path.join(self._folder, name))
        return prefix


def read_note(prefix: str) -> dict[str, Any]:
    """Returns the note that was saved with a checkpoint; empty where there was none.

    Raises:
        UserError: if it cannot be read.
    """
    path = f"{prefix}{_NOTE}"
    with reaching("the checkpoint's note", path):
        if not tf.io.gfile.exists(path):
            return {}
        with tf.io.gfile.GFile(path) as file:
            return json.loads(file.read())


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
        prefix = Checkpoints(folder).latest() or _named_latest(path)
    if prefix is None:
        raise UserError(
            f"there is no checkpoint at {path}: neither {path}.index nor a run's "
            f"{CHECKPOINTS}/ folder in it. Name a workdir, or a prefix such as "
            f"W/{CHECKPOINTS}/step_00001000."
        )
    return prefix


def _named_latest(folder: str) -> str | None:
    """Returns what the file `checkpoint`, which TensorFlow writes, calls the latest."""
    # Not `latest_checkpoint`, which looks for its files by a pattern.
    state = tf.train.get_checkpoint_state(folder)
    named = os.path.basename(state.model_checkpoint_path) if state else ""
    # In this folder, wherever the file says: it may have moved, or be somebody else's.
    prefix = os.path.join(folder, named)
    return prefix if named and tf.io.gfile.exists(f"{prefix}.index") else None


def is_whole(prefix: str) -> bool:
    """Returns whether both files of a checkpoint are there."""
    return all(tf.io.gfile.exists(f"{prefix}{part}") for part in (".index", _DATA))


def step_of(prefix: str) -> int:
    """Returns the step in a checkpoint's name."""
    return int(_name(prefix))


def _name(prefix: str) -> str:
    return os.path.basename(prefix).removeprefix("step_")


def write(table: Table, prefix: str, note: Mapping[str, Any] | None = None) -> None:
    """Writes a table to `<prefix>.index` and `<prefix>.data-00000-of-00001`.

    The index appears last and in one move, so a checkpoint that has one is whole. A
    note, where there is one, is in `<prefix>.note.json`.
    """
    names = list(table)
    partial = storage.beside(prefix)
    try:
        with tf.device("CPU:0"):
            tf.raw_ops.SaveV2(
                prefix=partial,
                tensor_names=names,
                shape_and_slices=[""] * len(names),
                tensors=[tf.constant(table[name].numpy()) for name in names],
            )
        if note:
            with tf.io.gfile.GFile(f"{partial}{_NOTE}", "w") as file:
                file.write(json.dumps(note))
        parts = [*([_NOTE] if note else []), _DATA, ".index"]
        for part in parts:
            storage.flush(f"{partial}{part}")
        if tf.io.gfile.exists(f"{prefix}.index"):
            tf.io.gfile.remove(f"{prefix}.index")
        if tf.io.gfile.exists(f"{prefix}{_NOTE}"):
            tf.io.gfile.remove(f"{prefix}{_NOTE}")
        for part in parts:
            tf.io.gfile.rename(f"{partial}{part}", f"{prefix}{part}", overwrite=True)
    except BaseException:
        with contextlib.suppress(tf.errors.OpError):
            _remove(partial)
        raise


def _remove(prefix: str) -> None:
    folder, own = os.path.split(prefix)
    files = [name for name in storage.names(folder) if name.startswith(f"{own}.")]
    # The index goes first: without it what is left is no checkpoint.
    for name in sorted(files, key=lambda name: name != f"{own}.index"):
        tf.io.gfile.remove(os.path.join(folder, name))


def read(prefix: str) -> tf.train.CheckpointReader:
    """Opens a checkpoint.

    Raises:
        UserError: if there is none or it is damaged.
    """
    with contextlib.ExitStack() as stack:
        plain = stack.enter_context(storage.plainly(prefix))
        try:
            # Not `load_checkpoint`, which first asks whether the prefix is a folder.
            reader = tf.compat.v1.train.NewCheckpointReader(plain)
        except (tf.errors.OpError, ValueError, RuntimeError) as error:
            reason = first_line(error).replace(plain, prefix)
            raise UserError(f"{prefix} is no readable checkpoint: {reason}") from error
        # It opens the files again with each value that it reads.
        weakref.finalize(reader, stack.pop_all().close)
    return reader


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
        raise UserError(
            f"{prefix} is damaged: {first_line(error)}. Remove its files, and a run "
            "goes on from the checkpoint before it."
        ) from error
