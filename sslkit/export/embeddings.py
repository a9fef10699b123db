"""The features of a dataset in a file, written as they are computed."""

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
    """Encodes the evaluation views of a source into a file, batch after batch.

    A `.npz` file holds `features`, float32 [n, dim], `label`, int32 [n] (-1 where there
    is none), `index`, int64 [n], the example's place in its source, `path`, text [n],
    the file it comes from or its place in one, and `class_names`, text [classes], what
    the labels stand for. A `.tfrecord` file holds one `tf.train.Example` an image with
    the first four, and `class_name` where the example has one. Rows are in the order of
    the source, without those that cannot be read; `Source.skipped` names these. Memory
    holds one batch, and 12 bytes an example. The file appears under its name when it is
    complete.

    Args:
        encode: see `sslkit.evaluate.features.frozen`.
        source: the split to read.
        path: of the file; its suffix says the format.
        size: side of the views, in pixels.
        batch_size: images encoded at once.
        limit: examples to use, a fixed mixed choice; None is all.

    Returns:
        How many rows were written.

    Raises:
        UserError: if the suffix is another, no example can be read, or, where the
            source's `on_error` is `raise`, one cannot; or the file cannot be written.
    """
    target = on_disk(path)
    writers: dict[str, Callable[..., int]] = {".npz": _npz, ".tfrecord": _tfrecord}
    if target.suffix not in writers:
        raise UserError(
            f"{path} ends in {target.suffix or 'nothing'!r}; name a file that ends in "
            f"{' or '.join(SUFFIXES)}."
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
    """Writes the features into the archive as they come; the rest is small."""
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
    """Writes where examples come from; text in NumPy is as wide as its longest."""
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
    """Writes an archive again whose features are fewer than its header promises.

    How many examples can be read is known last, and the header comes first.
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
