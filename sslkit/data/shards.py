"""Random access to the records of one split of a prepared TFDS dataset."""

from __future__ import annotations

import abc
import hashlib
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from sslkit.data.in_python import call
from sslkit.data.records import fingerprint, read_record, record_table
from sslkit.errors import UserError, first_line

__all__ = ["ArrayRecords", "Shards", "TFRecords", "all_array_records"]


class Shards(abc.ABC):
    """Records, each a serialised tf.train.Example.

    Attributes:
        paths: the files, sorted.
        shards: int64 [n], the index of each record's file.
    """

    paths: list[str]
    shards: np.ndarray

    @abc.abstractmethod
    def read(self, index: tf.Tensor) -> tf.Tensor:
        """Reads one record, in graph operations.

        Args:
            index: int64 [], its index in the split.

        Returns:
            string [].
        """

    @abc.abstractmethod
    def columns(self) -> Sequence[np.ndarray]:
        """Returns arrays that identify these records in the files, int64 [n] each."""

    @abc.abstractmethod
    def contents(self) -> Sequence[np.ndarray]:
        """Returns numbers that change with the contents of the records."""

    @abc.abstractmethod
    def describe(self, index: int) -> str:
        """Returns the place of a record, for messages."""

    def digest(self) -> str:
        """Returns a digest of these records, which does not depend on their folder."""
        digest = hashlib.sha256()
        for column in (*self.columns(), *self.contents()):
            digest.update(column.tobytes())
        for path in self.paths:
            digest.update(os.path.basename(path).encode() + b"\0")
        return digest.hexdigest()[:32]

    def identity(self) -> str:
        """Returns a text that changes whenever one of the files changes."""
        rows = hashlib.sha256()
        for column in self.columns():
            rows.update(column.tobytes())
        return f"{fingerprint(self.paths)} {rows.hexdigest()}"


class TFRecords(Shards):
    """TFRecord files, whose records are found by an index."""

    def __init__(self, part: Any, *, cache_dir: str | None) -> None:
        """Reads or makes the index.

        Args:
            part: a split of TFDS.
            cache_dir: where the index is kept; see `record_table`.

        Raises:
            UserError: if a file is missing, damaged, or has another number of records.
        """
        self.paths = sorted({chunk.filename for chunk in part.file_instructions})
        table = record_table(self.paths, cache_dir=cache_dir)
        ends = np.searchsorted(table[:, 0], np.arange(len(self.paths) + 1))
        rows = []
        for chunk in part.file_instructions:
            shard = self.paths.index(chunk.filename)
            _check_count(chunk, int(ends[shard + 1] - ends[shard]))
            first = ends[shard] + chunk.skip
            rows.append(table[first : first + chunk.take])
        self.shards, self._starts, self._lengths = np.concatenate(rows).T.copy()
        with tf.device("CPU:0"):
            self._tensors = [tf.constant(one) for one in (self.paths, *self.columns())]
            self._sizes = tf.constant(self._lengths)

    def read(self, index: tf.Tensor) -> tf.Tensor:
        """Reads one record by its first byte; see `Shards`."""
        paths, shards, starts = self._tensors
        return read_record(
            tf.gather(paths, tf.gather(shards, index)),
            tf.gather(starts, index),
            tf.gather(self._sizes, index),
        )

    def columns(self) -> Sequence[np.ndarray]:
        """Returns the files, and the bytes at which records start."""
        return self.shards, self._starts

    def contents(self) -> Sequence[np.ndarray]:
        """Returns the lengths of the records."""
        return (self._lengths,)

    def describe(self, index: int) -> str:
        """Returns the file and the byte at which a record starts."""
        path = self.paths[self.shards[index]]
        return f"{path}, record at byte {int(self._starts[index])}"


class ArrayRecords(Shards):
    """ArrayRecord files, each of which contains an index.

    They are read in Python, by the package array_record.
    """

    def __init__(self, builder: Any, split: str, part: Any) -> None:
        """Reads the indices in the files.

        Args:
            builder: the dataset, as TFDS opens it.
            split: the name of the split.
            part: the split.

        Raises:
            UserError: if the package is not installed, or a file is missing, damaged,
                or has another number of records.
        """
        reader = _array_record()
        self.paths = sorted({chunk.filename for chunk in part.file_instructions})
        fingerprint(self.paths)  # Its error names a missing file.
        shards, places = [], []
        for chunk in part.file_instructions:
            try:
                found = len(reader.ArrayRecordDataSource(chunk.filename))
            except Exception as error:  # Damaged files lead to many kinds of errors.
                raise UserError(
                    f"{chunk.filename} is cut short or is not an ArrayRecord file "
                    f"({first_line(error)}); prepare the dataset again"
                ) from error
            _check_count(chunk, found)
            shard = self.paths.index(chunk.filename)
            shards.append(np.full(chunk.take, shard, np.int64))
            places.append(np.arange(chunk.skip, chunk.skip + chunk.take))
        self.shards, self._places = np.concatenate(shards), np.concatenate(places)
        self._records = _raw(builder, split)

    def read(self, index: tf.Tensor) -> tf.Tensor:
        """Reads one record by its number; see `Shards`."""
        return call(lambda place: self._records[place], index)

    def columns(self) -> Sequence[np.ndarray]:
        """Returns the files, and the numbers of the records in them."""
        return self.shards, self._places

    def contents(self) -> Sequence[np.ndarray]:
        """Returns the sizes of the files."""
        sizes = [tf.io.gfile.stat(path).length for path in self.paths]
        return (np.array(sizes, np.int64),)

    def describe(self, index: int) -> str:
        """Returns the file and the number of a record in it."""
        path = self.paths[self.shards[index]]
        return f"{path}, record {int(self._places[index])}"


def all_array_records(builder: Any, splits: Sequence[str]) -> tf.data.Dataset:
    """Returns the records of several splits, one after another.

    Args:
        builder: the dataset, as TFDS opens it; its files are ArrayRecord.
        splits: names of splits.

    Returns:
        Dataset of string [].
    """

    def records() -> Any:
        for split in splits:
            yield from _raw(builder, split)

    return tf.data.Dataset.from_generator(
        records, output_signature=tf.TensorSpec([], tf.string)
    )


def _raw(builder: Any, split: str) -> Any:
    from tensorflow_datasets.core import decode

    _array_record()
    raw = decode.DeserializeMethod.RAW_BYTES
    return builder.as_data_source(split=split, deserialize_method=raw)


def _array_record() -> Any:
    try:
        from array_record.python import array_record_data_source
    except ImportError as error:
        raise UserError(
            "the dataset is stored as array_record, and the package that reads it is "
            "not installed: pip install array_record, or prepare the dataset with "
            "file_format='tfrecord'"
        ) from error
    return array_record_data_source


def _check_count(chunk: Any, found: int) -> None:
    if found != chunk.examples_in_shard:
        raise UserError(
            f"{chunk.filename} holds {found} records where dataset_info.json says "
            f"{chunk.examples_in_shard}; prepare the dataset again"
        )
