"""The features of a dataset in a file, written as they are computed."""

from __future__ import annotations

import functools
import os
import pathlib
import zipfile
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from sslkit.api import UserError
from sslkit.data.batches import evaluation_batches
from sslkit.data.sources import Source
from sslkit.evaluate.features import Features, FrozenEncoder, stream
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
    is none), and `index`, int64 [n], the example's place in its source. A `.tfrecord`
    file holds one `tf.train.Example` an image with the same three. Rows are in the
    order of the source. Memory holds one batch, and 12 bytes an example. The file
    appears under its name when it is complete.

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
        UserError: if the suffix is another, an example cannot be read, or the file
            cannot be written.
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
        written = writers[target.suffix](
            stream(encode, batches, source=source), partial, rows
        )
        partial.replace(target)
    except OSError as error:
        raise UserError(f"cannot write {target}: {error.strerror or error}.") from error
    finally:
        partial.unlink(missing_ok=True)
    return written


def _npz(parts: Iterator[Features], path: pathlib.Path, rows: int) -> int:
    """Writes the features into the archive as they come; the rest is small."""
    labels: list[np.ndarray] = []
    indices: list[np.ndarray] = []
    with zipfile.ZipFile(path, "w", allowZip64=True) as archive:
        with archive.open("features.npy", "w", force_zip64=True) as file:
            for part in parts:
                if not labels:
                    _header(file, (rows, part.features.shape[1]))
                file.write(np.ascontiguousarray(part.features).tobytes())
                labels.append(part.label)
                indices.append(part.index)
        for name, pieces in (("label", labels), ("index", indices)):
            with archive.open(f"{name}.npy", "w") as file:
                np.lib.format.write_array(file, np.concatenate(pieces))
    return sum(map(len, labels))


def _header(file: Any, shape: tuple[int, int]) -> None:
    description = np.lib.format.dtype_to_descr(np.dtype(np.float32))
    np.lib.format.write_array_header_1_0(
        file, {"descr": description, "fortran_order": False, "shape": shape}
    )


def _tfrecord(parts: Iterator[Features], path: pathlib.Path, rows: int) -> int:
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
                writer.write(example.SerializeToString())
                written += 1
    return written
