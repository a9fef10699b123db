"""Writes the features of a dataset to a file, batch by batch."""

from __future__ import annotations

import functools
import os
import pathlib
import shutil
import zipfile
from collections.abc import Callable, Iterator
from typing import IO

import numpy as np
import tensorflow as tf

from sslkit.api import UserError
from sslkit.data.batches import evaluation_batches
from sslkit.evaluate.features import FrozenEncoder, stream
from sslkit.evaluation import Features
from sslkit.source import Source
from sslkit.storage import on_disk
from sslkit.views.crop import evaluation_view

SUFFIXES = (".npz", ".tfrecord")


def embed(
    encode: FrozenEncoder,
    source: Source,
    path: str | os.PathLike[str],
    *,
    size: int,
    batch_size: int = 256,
    limit: int | None = None,
) -> int:
    """Encodes the evaluation views of a source into a file, batch by batch.

    A `.npz` file holds:

    - `features`, float32 [n, dim];
    - `label`, int32 [n], -1 for examples without a label;
    - `index`, int64 [n], the example's place in its source;
    - `path`, text [n], the file that the example comes from, or its place in a file;
    - `class_names`, text [classes], the names of the labels.

    A `.tfrecord` file holds one `tf.train.Example` per image, with the first four and,
    if the example has a label, `class_name`. Rows are in the order of the source.
    Examples that cannot be read are left out; `Source.skipped` names them. Only one
    batch is in memory, and 12 bytes per example. The file gets its name when it is
    complete.

    Args:
        encode: see `sslkit.evaluate.features.frozen`.
        source: the split to read.
        path: the path of the file; its suffix determines the format.
        size: side of the views, in pixels.
        batch_size: images per batch.
        limit: how many examples to use, a sample that is the same each time; None for
            all.

    Returns:
        The number of rows that were written.

    Raises:
        UserError: if the suffix is not known, no example can be read, or the file
            cannot be written; and if one example cannot be read and the source's
            `on_error` is `raise`.
    """
    target = on_disk(path)
    writers: dict[str, Callable[..., int]] = {".npz": _npz, ".tfrecord": _tfrecord}
    if target.suffix not in writers:
        raise UserError(
            f"{path} does not end in {' or '.join(SUFFIXES)}. Name a file that does."
        )
    batches = evaluation_batches(
        source,
        size=size,
        batch_size=batch_size,
        view=functools.partial(evaluation_view, size=size),
        limit=limit,
    )
    rows = source.size if limit is None else min(limit, source.size)
    partial = target.with_name(f".{os.getpid()}.{target.name}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        parts = stream(encode, batches, source=source, limit=limit)
        written = writers[target.suffix](parts, partial, rows, source)
        if not written:
            raise UserError("\n".join(source.skipped(limit=5)))
        partial.replace(target)
    except OSError as error:
        raise UserError(f"cannot write {target}: {error.strerror or error}.") from error
    finally:
        partial.unlink(missing_ok=True)
    return written


def _npz(
    parts: Iterator[Features], path: pathlib.Path, rows: int, source: Source
) -> int:
    """Writes each batch of features into the archive, and the small arrays last."""
    labels: list[np.ndarray] = []
    indices: list[np.ndarray] = []
    dim = 0
    with zipfile.ZipFile(path, "w", allowZip64=True) as archive:
        with _member(archive, "features") as file:
            for part in parts:
                if not labels:
                    dim = part.features.shape[1]
                    _header(file, (rows, dim), np.dtype(np.float32))
                file.write(np.ascontiguousarray(part.features).tobytes())
                labels.append(part.label)
                indices.append(part.index)
        written = sum(map(len, labels))
        if written:
            index = np.concatenate(indices)
            with _member(archive, "label") as file:
                np.lib.format.write_array(file, np.concatenate(labels))
            with _member(archive, "index") as file:
                np.lib.format.write_array(file, index)
            with _member(archive, "path", compressed=True) as file:
                _texts(file, source, index)
            with _member(archive, "class_names") as file:
                names = np.array(source.label_names, np.str_)
                np.lib.format.write_array(file, names)
    if 0 < written < rows:
        _shorten(path, (written, dim))
    return written


def _member(
    archive: zipfile.ZipFile, name: str, *, compressed: bool = False
) -> IO[bytes]:
    info = zipfile.ZipInfo(f"{name}.npy")
    info.compress_type = zipfile.ZIP_DEFLATED if compressed else zipfile.ZIP_STORED
    return archive.open(info, "w", force_zip64=True)


def _texts(file: IO[bytes], source: Source, index: np.ndarray) -> None:
    """Writes the paths of examples; in NumPy all texts are as wide as the longest."""
    longest = max(len(source.describe(int(place))) for place in index)
    kind = np.dtype(f"<U{longest}")
    _header(file, (len(index),), kind)
    for start in range(0, len(index), 1000):
        rows = [source.describe(int(place)) for place in index[start : start + 1000]]
        file.write(np.array(rows, kind).tobytes())


def _header(file: IO[bytes], shape: tuple[int, ...], kind: np.dtype) -> None:
    np.lib.format.write_array_header_1_0(
        file,
        {
            "descr": np.lib.format.dtype_to_descr(kind),
            "fortran_order": False,
            "shape": shape,
        },
    )


def _shorten(path: pathlib.Path, shape: tuple[int, int]) -> None:
    """Rewrites an archive that has fewer features than its header says.

    The header comes first, but only at the end it is known how many examples could be
    read.
    """
    beside = path.with_name(f"{path.name}.short")
    try:
        with (
            zipfile.ZipFile(path) as archive,
            zipfile.ZipFile(beside, "w", allowZip64=True) as shorter,
        ):
            for info in archive.infolist():
                compressed = info.compress_type != zipfile.ZIP_STORED
                name = info.filename.removesuffix(".npy")
                with (
                    archive.open(info) as old,
                    _member(shorter, name, compressed=compressed) as new,
                ):
                    if name == "features":
                        np.lib.format.read_magic(old)
                        np.lib.format.read_array_header_1_0(old)
                        _header(new, shape, np.dtype(np.float32))
                    shutil.copyfileobj(old, new, 1 << 20)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def _tfrecord(
    parts: Iterator[Features], path: pathlib.Path, rows: int, source: Source
) -> int:
    del rows
    written = 0
    with tf.io.TFRecordWriter(str(path)) as writer:
        for part in parts:
            rows_of = zip(part.features, part.label, part.index, strict=True)
            for features, label, index in rows_of:
                example = tf.train.Example()
                feature = example.features.feature
                feature["features"].float_list.value.extend(features)
                feature["label"].int64_list.value.append(int(label))
                feature["index"].int64_list.value.append(int(index))
                where = source.describe(int(index))
                feature["path"].bytes_list.value.append(where.encode())
                if 0 <= label < len(source.label_names):
                    name = source.label_names[label]
                    feature["class_name"].bytes_list.value.append(name.encode())
                writer.write(example.SerializeToString())
                written += 1
    return written
