"""Random access into TFRecord files, by an index of the place of each record.

A TFRecord file has, for each record, its length (uint64), a checksum of the length (4
bytes), the data, and a checksum of the data (4 bytes). A scan reads the lengths and
skips the rest; it is done once, and the result is kept in a cache folder. In a bucket,
where each skip would be a request, whole files are read from beginning to end, many at
once.
"""

from __future__ import annotations

import concurrent.futures
import hashlib
import logging
import os
import pathlib
import struct
import tempfile
from collections.abc import Generator, Sequence
from typing import BinaryIO

import numpy as np
import tensorflow as tf

from sslkit.errors import UserError, first_line

__all__ = ["cache_folder", "fingerprint", "read_record", "record_table"]

_log = logging.getLogger(__name__)

_LENGTH = struct.Struct("<Q")
_FRAME = 16  # bytes of a record that are not its data
_SCANS = 8  # files scanned at once: on network disks most of the time is latency
_SCANS_OF_BUCKET = 32
_PIECE = 8 * 2**20  # bytes of a file in a bucket that are read at once


def record_table(paths: Sequence[str], *, cache_dir: str | None = None) -> np.ndarray:
    """Returns the place of each record of some TFRecord files.

    Args:
        paths: the files; local, or anything `tf.io.gfile` opens.
        cache_dir: where results are kept, by the files' paths, sizes and times of
            change; $XDG_CACHE_HOME/sslkit or ~/.cache/sslkit unless given. If it cannot
            be written, the files are scanned each time, and the log has a line about
            it.

    Returns:
        int64 [records, 3], in file order: the index of the file, the byte at which the
        record starts, the number of bytes of its data.

    Raises:
        UserError: if a file is missing or is not a complete TFRecord file.
    """
    cached = cache_folder(cache_dir) / "records" / f"{fingerprint(paths)}.npy"
    table = _load(cached)
    if table is not None:
        return table
    scans = _SCANS_OF_BUCKET if any("://" in path for path in paths) else _SCANS
    with concurrent.futures.ThreadPoolExecutor(scans) as pool:
        tables = list(pool.map(_scan, range(len(paths)), paths))
    table = np.concatenate([np.zeros([0, 3], np.int64), *tables])
    _save(cached, table)
    return table


def read_record(path: tf.Tensor, start: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
    """Reads and checks one record, in graph operations.

    Args:
        path: string [], the file.
        start: int64 [], the byte at which the record starts.
        size: int64 [], the number of bytes of its data, which are read together.

    Returns:
        string [], the data.
    """
    # Only a dataset can read at an offset and check the checksums. So one of a single
    # element is built, read and freed inside the graph.
    records = tf.raw_ops.TFRecordDatasetV2(
        filenames=[path],
        compression_type="",
        buffer_size=size + _FRAME,
        byte_offsets=[start],
    )
    kind = {"output_types": [tf.string], "output_shapes": [[]]}
    one = tf.raw_ops.TakeDataset(
        input_dataset=records, count=tf.constant(1, tf.int64), **kind
    )
    return tf.raw_ops.DatasetToSingleElement(dataset=one, **kind)[0]


def _scan(number: int, path: str) -> np.ndarray:
    rows: list[tuple[int, int, int]] = []
    start = 0
    try:
        size = tf.io.gfile.stat(path).length
        with _open(path) as file:
            lengths = _streamed(file) if "://" in path else _sought(file)
            next(lengths)
            while start + _FRAME <= size:
                length = lengths.send(start)
                rows.append((number, start, length))
                start += _FRAME + length
    except (OSError, tf.errors.OpError) as error:
        raise UserError(
            f"cannot read {path} ({first_line(error)}); prepare the dataset again"
        ) from error
    if start != size:
        raise UserError(
            f"{path} is cut short or is not a TFRecord file: {size} bytes, but record "
            f"{max(len(rows) - 1, 0)} ends at byte {start}; prepare the dataset again"
        )
    return np.array(rows, np.int64).reshape([-1, 3])


def _sought(file: BinaryIO) -> Generator[int, int, None]:
    """Receives where records start, and yields the sizes of their data; seeks."""
    length = 0
    while True:
        start = yield length
        file.seek(start)
        (length,) = _LENGTH.unpack(file.read(_LENGTH.size))


def _streamed(file: BinaryIO) -> Generator[int, int, None]:
    """Does the same by reading on, without seeking."""
    length, piece, begin = 0, b"", 0
    while True:
        start = yield length
        while start + _LENGTH.size > begin + len(piece):
            rest = piece[max(0, start - begin) :]
            begin += len(piece) - len(rest)
            more = file.read(_PIECE)
            if not more:
                raise OSError("it ends too early")
            piece = rest + more
        (length,) = _LENGTH.unpack_from(piece, start - begin)


def _open(path: str) -> BinaryIO:
    if "://" in path:
        return tf.io.gfile.GFile(path, "rb")
    # A buffer would read far more than the eight bytes that are needed at each place.
    return open(path, "rb", buffering=0)


def cache_folder(cache_dir: str | None) -> pathlib.Path:
    """Returns the folder for results that were computed from data.

    Args:
        cache_dir: the folder; $XDG_CACHE_HOME/sslkit or ~/.cache/sslkit unless given.
    """
    if cache_dir is not None:
        return pathlib.Path(cache_dir).expanduser()
    home = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return pathlib.Path(home).expanduser() / "sslkit"


def fingerprint(paths: Sequence[str]) -> str:
    """Returns a digest that changes when one of some files changes.

    Args:
        paths: the files; local, or anything `tf.io.gfile` opens.

    Returns:
        Hexadecimal digits that depend on the files' paths, sizes and times of change.

    Raises:
        UserError: if a file is missing.
    """
    digest = hashlib.sha256()
    for path in paths:
        try:
            stat = tf.io.gfile.stat(path)
        except tf.errors.NotFoundError as error:
            raise UserError(
                f"{path} is missing, although the dataset lists it; prepare the "
                "dataset again"
            ) from error
        digest.update(f"{path}\0{stat.length}\0{stat.mtime_nsec}\0".encode())
    return digest.hexdigest()[:32]


def _load(cached: pathlib.Path) -> np.ndarray | None:
    try:
        table = np.load(cached, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    whole = table.dtype == np.int64 and table.ndim == 2 and table.shape[1] == 3
    return table if whole else None


def _save(cached: pathlib.Path, table: np.ndarray) -> None:
    try:
        cached.parent.mkdir(parents=True, exist_ok=True)
        # Written under another name and renamed, so no run ever sees an incomplete
        # file.
        handle, beside = tempfile.mkstemp(dir=cached.parent, suffix=".tmp")
        with os.fdopen(handle, "wb") as file:
            np.save(file, table)
        os.replace(beside, cached)
    except OSError as error:
        _log.info(
            "the record index is not kept, because %s cannot be written (%s)",
            cached.parent,
            error.strerror,
        )
