"""Damaged TFRecord files, and prepared TFDS datasets with a damaged file."""

from __future__ import annotations

import pathlib
import random
import shutil
import warnings
from typing import ClassVar

import numpy as np
import tensorflow as tf
from faults.fuzzing import READ, SKIPPED, Finding, Target, damaged

from sslkit.data import data
from sslkit.data.decoding import decode
from sslkit.data.records import read_record, record_table
from sslkit.source import Source

_COUNT = 6


class Shard(Source):
    """The records of a file that is written again for each input."""

    name = "shard"
    size = _COUNT
    classes = None
    label_names = ()

    def __init__(self, path: pathlib.Path):
        """Keeps the path."""
        self._path = str(path)
        self._start = tf.Variable(0, dtype=tf.int64)
        self._length = tf.Variable(0, dtype=tf.int64)

    def at(self, start: int, length: int) -> None:
        """Chooses the record that is read."""
        self._start.assign(start)
        self._length.assign(length)

    def example(self, index: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Implements `Source.example`."""
        del index
        record = read_record(tf.constant(self._path), self._start, self._length)
        kind = {"image": tf.io.FixedLenFeature([], tf.string)}
        image = decode(tf.io.parse_single_example(record, kind)["image"])
        return image, tf.constant(-1)


class Records(Target):
    """One TFRecord file: its records are found and read, each with its checksum."""

    name = "records"

    def __init__(self, folder: pathlib.Path):
        """Writes the file that is damaged later.

        Args:
            folder: where inputs go.
        """
        self._cache = folder / "cache"
        self._path = folder / "one.tfrecord"
        self._images = _images()
        with tf.io.TFRecordWriter(str(self._path)) as writer:
            for image in self._images:
                writer.write(_example(image))
        self._whole = self._path.read_bytes()
        self._source = Shard(self._path)
        self._read = tf.function(
            lambda: self._source.attempt(tf.constant(0, tf.int64)), autograph=False
        )

    def attempt(self, draw: random.Random) -> str:
        """Implements `Target.attempt`."""
        self._path.write_bytes(damaged(self._whole, draw))
        shutil.rmtree(self._cache, ignore_errors=True)
        table = record_table([str(self._path)], cache_dir=str(self._cache))
        skipped = len(table) < _COUNT
        for _, start, length in table:
            self._source.at(int(start), int(length))
            image, _, ok = self._read()
            if not ok:
                skipped = True
                # Tracing takes longer than all the rest.
                lines = self._source.diagnose([0]) if draw.random() < 0.05 else ["x"]
                if len(lines) != 1 or "\n" in lines[0]:
                    raise Finding(f"a skipped record is said so: {lines}")
            elif not any(np.array_equal(image, one) for one in self._images):
                raise Finding("an image is read that was not written")
        return SKIPPED if skipped else READ


class Datasets(Target):
    """A prepared TFDS dataset with a damaged file: shard, index or features."""

    name = "datasets"
    seconds: ClassVar[float] = 60.0

    def __init__(self, folder: pathlib.Path):
        """Prepares the dataset.

        Args:
            folder: where inputs go.
        """
        self._whole, self._root = folder / "prepared", folder / "data"
        self._cache = folder / "cache"
        self._images = _images()
        _prepare(self._whole, self._images)
        self._files = sorted(
            path.relative_to(self._whole)
            for path in self._whole.rglob("*")
            if path.is_file()
        )

    def attempt(self, draw: random.Random) -> str:
        """Implements `Target.attempt`."""
        for path in (self._root, self._cache):
            shutil.rmtree(path, ignore_errors=True)
        shutil.copytree(self._whole, self._root)
        path = self._root / draw.choice(self._files)
        path.write_bytes(damaged(path.read_bytes(), draw))
        opened = data(
            name="made_up", data_dir=str(self._root), cache_dir=str(self._cache)
        ).source("train")
        skipped = False
        found = tf.data.Dataset.range(opened.size).map(opened.attempt)
        for image, _, ok in found:
            if ok and not any(np.array_equal(image, one) for one in self._images):
                raise Finding("an image is read that was not written")
            skipped |= not ok
        if skipped and not opened.skipped():
            raise Finding("a skipped record is not named")
        return SKIPPED if skipped else READ


def _images() -> list[np.ndarray]:
    draw = np.random.default_rng(0)
    return [draw.integers(0, 256, [6, 5, 3], np.uint8) for _ in range(_COUNT)]


def _example(image: np.ndarray) -> bytes:
    png = tf.io.encode_png(image).numpy()
    feature = tf.train.Feature(bytes_list=tf.train.BytesList(value=[png]))
    features = tf.train.Features(feature={"image": feature})
    return tf.train.Example(features=features).SerializeToString()


def _prepare(root: pathlib.Path, images: list[np.ndarray]) -> None:
    """Writes a dataset in the layout of TFDS; nothing is downloaded."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import tensorflow_datasets as tfds

        features = tfds.features.FeaturesDict(
            {
                "image": tfds.features.Image(shape=(None, None, 3)),
                "label": tfds.features.ClassLabel(names=["no", "yes"]),
            }
        )
        folder = root / "made_up" / "1.0.0"
        folder.mkdir(parents=True)
        shard = folder / "made_up-train.tfrecord-00000-of-00001"
        with tf.io.TFRecordWriter(str(shard)) as writer:
            for number, image in enumerate(images):
                example = features.encode_example({"image": image, "label": number % 2})
                writer.write(features.serialize_example(example))
        split = tfds.core.SplitInfo(
            name="train", shard_lengths=[len(images)], num_bytes=shard.stat().st_size
        )
        tfds.folder_dataset.write_metadata(
            data_dir=str(folder), features=features, split_infos=[split]
        )
