"""The files of one checkpoint.

`<prefix>.index` and `<prefix>.data-00000-of-00001` are in TensorFlow's format, and
every reader of its checkpoints can read them. `<prefix>.note.json` is sslkit's: it has
a digest of each tensor, the time of saving, the measures at that step, and a note.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import weakref
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

import numpy as np
import tensorflow as tf

from sslkit import storage
from sslkit.errors import UserError, first_line
from sslkit.storage import reaching

DATA = ".data-00000-of-00001"
_INDEX = ".index"
_NOTE = ".note.json"
_PARTS = (_NOTE, DATA, _INDEX)
_DAMAGED = "damaged_"
_DIGEST_BYTES = 16


class Damaged(UserError):
    """The files of a checkpoint differ from what was written.

    Attributes:
        reason: what is wrong with them.
    """

    def __init__(self, prefix: str, reason: str, what: str = "is damaged"):
        """Makes the message: the checkpoint, what is wrong, and the next move."""
        super().__init__(
            f"{prefix} {what}: {reason}. Name an earlier checkpoint, or put back a "
            "copy of this one."
        )
        self.reason = reason


class Assignable(Protocol):
    """A value of a table: a Keras variable, or an object with these three members."""

    shape: tuple[int, ...]

    def assign(self, value: np.ndarray) -> object:
        """Sets the value."""

    def numpy(self) -> np.ndarray:
        """Reads the value."""


Table = Mapping[str, Assignable]


@dataclasses.dataclass(frozen=True)
class Beside:
    """The contents of a checkpoint's note file.

    A checkpoint of sslkit 0.1 has only the note, or no file.
    """

    note: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """Other data of its step; see `Checkpoints.save`."""
    time: float = 0.0
    """When it was saved, in seconds since 1970."""
    measures: Mapping[str, float] = dataclasses.field(default_factory=dict)
    """The measures at its step: name -> number."""
    digests: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """Name of a tensor -> BLAKE2b of its dtype, shape and bytes."""
    own_digest: str = ""
    """BLAKE2b of all other fields; empty in older notes."""

    def with_digest(self) -> Beside:
        """Returns the same with a digest of itself, to detect damage."""
        fields = dataclasses.asdict(dataclasses.replace(self, own_digest=""))
        text = json.dumps(fields, sort_keys=True).encode()
        made = hashlib.blake2b(text, digest_size=_DIGEST_BYTES).hexdigest()
        return dataclasses.replace(self, own_digest=made)


def is_whole(prefix: str) -> bool:
    """Returns whether both of TensorFlow's files of a checkpoint are there."""
    return all(tf.io.gfile.exists(f"{prefix}{part}") for part in (_INDEX, DATA))


def is_part(name: str) -> bool:
    """Returns whether a file's name is that of a part of a checkpoint."""
    return name.endswith(_PARTS)


def step_of(prefix: str) -> int:
    """Returns the step in a checkpoint's name."""
    return int(os.path.basename(prefix).removeprefix("step_"))


def write(table: Table, prefix: str, note: Mapping[str, Any] | None = None) -> None:
    """Writes a table, as `write_values` does."""
    values = {name: variable.numpy() for name, variable in table.items()}
    write_values(values, prefix, Beside(note=note or {}))


def write_values(
    values: Mapping[str, Any],
    prefix: str,
    beside: Beside,
    *,
    before_moving: Callable[[], None] = lambda: None,
) -> None:
    """Writes the files of a checkpoint.

    They are written under other names, flushed, and renamed. The index appears last and
    in one move, so a checkpoint that has an index is complete.

    Args:
        values: name -> array.
        prefix: the beginning of the files' names.
        beside: what is kept with them; its digests are made here.
        before_moving: called before the files are renamed; it may raise.
    """
    names = list(values)
    folder = os.path.dirname(prefix)
    partial = storage.beside(prefix)
    digests = {name: _digest(value) for name, value in values.items()}
    whole = dataclasses.replace(beside, digests=digests).with_digest()
    text = json.dumps(dataclasses.asdict(whole))
    try:
        with tf.device("CPU:0"):
            tf.raw_ops.SaveV2(
                prefix=partial,
                tensor_names=names,
                shape_and_slices=[""] * len(names),
                tensors=[tf.constant(values[name]) for name in names],
            )
        with tf.io.gfile.GFile(f"{partial}{_NOTE}", "w") as file:
            file.write(text)
        for part in _PARTS:
            storage.flush(f"{partial}{part}")
        before_moving()
        if tf.io.gfile.exists(f"{prefix}{_INDEX}"):
            tf.io.gfile.remove(f"{prefix}{_INDEX}")
        for part in _PARTS:
            if part == _INDEX:
                storage.flush_names(folder)
            tf.io.gfile.rename(f"{partial}{part}", f"{prefix}{part}", overwrite=True)
        storage.flush_names(folder)
    except BaseException:
        with contextlib.suppress(tf.errors.OpError):
            remove(partial)
        raise


def remove(prefix: str) -> None:
    """Removes the files of a checkpoint."""
    folder = os.path.dirname(prefix)
    for name in _files_of(prefix):
        tf.io.gfile.remove(os.path.join(folder, name))


def set_aside(prefix: str) -> None:
    """Gives the files of a checkpoint names that no checkpoint has."""
    folder = os.path.dirname(prefix)
    for name in _files_of(prefix):
        tf.io.gfile.rename(
            os.path.join(folder, name),
            os.path.join(folder, f"{_DAMAGED}{name}"),
            overwrite=True,
        )


def _files_of(prefix: str) -> list[str]:
    folder, own = os.path.split(prefix)
    names = [name for name in storage.names(folder) if name.startswith(f"{own}.")]
    # The index is removed first: without it, the rest is not a checkpoint.
    return sorted(names, key=lambda name: name != f"{own}{_INDEX}")


def read_note(prefix: str) -> Mapping[str, Any]:
    """Returns the note that was saved with a checkpoint; empty if there was none.

    Raises:
        UserError: if it cannot be read.
    """
    return read_beside(prefix).note


def read_beside(prefix: str) -> Beside:
    """Returns the contents of a checkpoint's note file.

    Raises:
        Damaged: if it differs from what was written.
        UserError: if it cannot be read.
    """
    path = f"{prefix}{_NOTE}"
    with reaching("the checkpoint's note", path):
        if not tf.io.gfile.exists(path):
            return Beside()
        with tf.io.gfile.GFile(path, "rb") as file:
            data = file.read()
    try:
        found = json.loads(data)
        if not isinstance(found, dict):
            raise TypeError("it holds no mapping")
        # sslkit 0.1 wrote only the note.
        alone = not any(field.name in found for field in dataclasses.fields(Beside))
        beside = Beside(note=found) if alone else Beside(**found)
        if not all(
            isinstance(part, dict)
            for part in (beside.note, beside.measures, beside.digests)
        ) or not isinstance(beside.time, int | float):
            raise TypeError("its parts are of other kinds")
        if beside.own_digest and beside != beside.with_digest():
            raise ValueError("it is not what was written")
    except (ValueError, TypeError, RecursionError) as error:
        raise Damaged(prefix, "its note is not what was written") from error
    return beside


def read(prefix: str) -> tf.train.CheckpointReader:
    """Opens a checkpoint.

    Raises:
        Damaged: if it is not complete.
        UserError: if it does not exist or cannot be reached.
    """
    with contextlib.ExitStack() as stack:
        plain = stack.enter_context(storage.plainly(prefix))
        try:
            # `load_checkpoint` would first ask whether the prefix is a folder.
            reader = tf.compat.v1.train.NewCheckpointReader(plain)
        except (tf.errors.OpError, ValueError, RuntimeError, IndexError) as error:
            _reach(prefix)
            reason = first_line(error).replace(plain, prefix)
            raise Damaged(prefix, reason, "is not a readable checkpoint") from error
        # It opens the files again for each value that it reads.
        weakref.finalize(reader, stack.pop_all().close)
    return reader


def _reach(prefix: str) -> None:
    """Raises if the files cannot be opened; they need not be damaged."""
    for part in (_INDEX, DATA):
        if tf.io.gfile.exists(f"{prefix}{part}"):
            with (
                reaching("the checkpoint", prefix),
                tf.io.gfile.GFile(f"{prefix}{part}", "rb") as file,
            ):
                file.read(1)


def restore(table: Table, prefix: str) -> None:
    """Sets all variables of a table from a checkpoint, or none.

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
        UserError: if a shape differs or a value cannot be read; then nothing is set.
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
    """Reads variables of an open checkpoint, and compares them with their digests.

    Raises:
        Damaged: if one differs from what was written.
        UserError: if one cannot be read.
    """
    digests = read_beside(prefix).digests
    try:
        values = {name: reader.get_tensor(name) for name in names}
    except (tf.errors.OpError, IndexError) as error:
        # A file that ends too early leads to an IndexError.
        _reach(prefix)
        raise Damaged(prefix, first_line(error)) from error
    for name, value in values.items():
        if name in digests and digests[name] != _digest(value):
            raise Damaged(prefix, f"{name} is not what was written")
    return values


def _digest(value: Any) -> str:
    array = np.ascontiguousarray(value)
    made = hashlib.blake2b(digest_size=_DIGEST_BYTES)
    made.update(f"{array.dtype.name} {np.shape(value)}".encode())
    made.update(array.tobytes())
    return made.hexdigest()
