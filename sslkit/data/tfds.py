"""Datasets that TensorFlow Datasets (TFDS) has prepared on disk; never downloads."""

from __future__ import annotations

import os
import re
import types
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from sslkit.arguments import checked
from sslkit.data.decoding import decode
from sslkit.data.labels import Labels, find_labels
from sslkit.data.shards import ArrayRecords, Shards, TFRecords, all_array_records
from sslkit.errors import UserError, first_line
from sslkit.source import Source
from sslkit.storage import reaching

__all__ = ["PreparedTFDS"]

_VERSION = re.compile(r"\d+\.\d+\.\d+")
_BY_HAND = ("imagenet2012", "imagenet2012_subset")


class PreparedTFDS(Source):
    """One split of a prepared dataset, with random access into its shards.

    The shards are TFRecord or ArrayRecord files, depending on how the dataset was
    prepared. ArrayRecord files need no index to be made first, and are read in Python.

    Args:
        split: any split that TFDS can read, such as `train`, `train[:10%]`,
            `train+test`.
        dataset: `dataset` or `dataset/config`, with `:version` if it is not the newest
            version that is prepared. TFDS need not know its name.
        data_dir: where datasets are prepared; $TFDS_DATA_DIR or ~/tensorflow_datasets
            unless given.
        cache_dir: where the record index is kept; see `record_table`.
        label: the feature that is the label; see `find_labels`.

    Raises:
        UserError: if the dataset is not prepared, does not have the split, is not
            stored as TFRecord or ArrayRecord, or has no images, or if `label` is not a
            label.
    """

    @checked
    def __init__(
        self,
        *,
        split: str,
        dataset: str,
        data_dir: str | None = None,
        cache_dir: str | None = None,
        label: str | None = None,
    ) -> None:
        """Finds the dataset and indexes the split's records; see the class."""
        with reaching("the data", data_dir or dataset):
            self._open(split, dataset, data_dir, cache_dir, label)

    def _open(
        self,
        split: str,
        name: str,
        data_dir: str | None,
        cache_dir: str | None,
        label: str | None,
    ) -> None:
        folder = _prepared(name, data_dir)
        builder = _opened(folder)
        info = builder.info
        stored = info.file_format.value
        if stored not in ("tfrecord", "array_record"):
            raise UserError(
                f"{folder} is stored as {stored}; only tfrecord and array_record are "
                "read: prepare it again with file_format='tfrecord'"
            )
        try:
            part = info.splits[split]
        except ValueError as error:
            raise UserError(
                f"{name} has no split '{split}'; it has {', '.join(info.splits)}"
            ) from error
        if not part.num_examples:
            raise UserError(f"{name} has no example in split '{split}'; name another")
        self.name = f"{name}/{split}"
        self.size = part.num_examples
        self._release = f"{info.name}/{info.version}"
        self._read_features(info.features, folder)
        self._read_labels(builder, label, cache_dir)
        self._shards: Shards = (
            TFRecords(part, cache_dir=cache_dir)
            if stored == "tfrecord"
            else ArrayRecords(builder, split, part)
        )

    def example(self, index: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Reads and decodes one record; see `Source.example`."""
        features = tf.io.parse_single_example(self._shards.read(index), self._features)
        image = decode(features["image"])
        if self._label is None:
            return image, tf.constant(-1, tf.int32)
        return image, self._label.of(features)

    def record(self) -> Mapping[str, Any]:
        """Returns the version, and which records of which shards; see `Source`."""
        version = {"version": self._release, "records": self._shards.digest()}
        return {**super().record(), **version}

    def why_unlabelled(self) -> str:
        """Returns a text about the features; see `Source.why_unlabelled`."""
        return self._unlabelled or super().why_unlabelled()

    def label(self, index: tf.Tensor) -> tf.Tensor:
        """Reads one record without decoding its image; see `Source.label`."""
        if self._label is None:
            return tf.constant(-1, tf.int32)
        record = self._shards.read(index)
        return self._label.of(tf.io.parse_single_example(record, self._label.spec()))

    def identity(self) -> str:
        """Returns a digest of the shards and of the choice of their records."""
        return f"{self._shards.identity()} {self.label_names}"

    def describe(self, index: int) -> str:
        """Returns the shard, and the record in it."""
        return self._shards.describe(index)

    def _read_features(self, features: Any, folder: str) -> None:
        kinds = _library().features
        spec = (
            dict(features.items()) if isinstance(features, kinds.FeaturesDict) else {}
        )
        image = spec.get("image")
        if not isinstance(image, kinds.Image) or image.np_dtype != np.uint8:
            raise UserError(
                f"{folder} has no feature 'image' of 8-bit pixels; its features are "
                f"{', '.join(spec) or 'not named'}; prepare a dataset that has one"
            )
        self._features = {"image": tf.io.FixedLenFeature([], tf.string)}

    def _read_labels(
        self, builder: Any, label: str | None, cache_dir: str | None
    ) -> None:
        splits = builder.info.splits
        files = [str(file) for one in splits.values() for file in one.filepaths]

        def records() -> tf.data.Dataset:
            return all_array_records(builder, [*splits])

        found = find_labels(
            dict(builder.info.features.items()),
            [file for file in files if tf.io.gfile.exists(file)],
            records if builder.info.file_format.value == "array_record" else None,
            name=label,
            cache_dir=cache_dir,
            kinds=_library().features,
        )
        self._label = found if isinstance(found, Labels) else None
        self._unlabelled = found if isinstance(found, str) else None
        self.classes, self.label_names = None, ()
        if self._label is not None:
            self._features.update(self._label.spec())
            self.classes = self._label.classes
            self.label_names = self._label.names


def _library() -> types.ModuleType:
    # Slow to import, and it warns about packages that are not needed to read.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import tensorflow_datasets

    return tensorflow_datasets


def _opened(folder: str) -> Any:
    """Returns a dataset of TFDS, which knows its splits, features and format.

    Raises:
        UserError: if its files are damaged.
    """
    try:
        builder = _library().builder_from_directory(folder)
        builder.info  # noqa: B018
        return builder
    except (tf.errors.OpError, OSError):
        raise
    except Exception as error:  # Its readers raise many kinds of errors.
        raise UserError(
            f"{folder} is not a prepared dataset that TFDS can read "
            f"({type(error).__name__}: {first_line(error)}); prepare the dataset again"
        ) from error


def _prepared(name: str, data_dir: str | None) -> str:
    """Returns the folder of the dataset's wanted or newest version."""
    root = data_dir or os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets"
    root = os.path.expanduser(root)
    plain, colon, version = name.partition(":")
    if colon and not _VERSION.fullmatch(version):
        raise UserError(
            f"no dataset can be called '{name}'; name digits, folder:/path, or a TFDS "
            "dataset such as cifar10, imagenet2012_subset/1pct or imagenet2012:5.1.0"
        )
    home = os.path.join(root, plain)
    inside = _folders(home)
    versions = [v for v in inside if _is_prepared(home, v)]
    if version in versions:
        return os.path.join(home, version)
    if versions and not version:
        newest = max(versions, key=lambda v: [int(n) for n in v.split(".")])
        return os.path.join(home, newest)
    if versions:
        raise UserError(
            f"{home} has no version {version}; it has {', '.join(sorted(versions))}"
        )
    configs = [
        f"{plain}/{config}"
        for config in inside
        if any(
            _is_prepared(os.path.join(home, config), v)
            for v in _folders(os.path.join(home, config))
        )
    ]
    if configs:
        raise UserError(
            f"{plain} is prepared in several variants; name one: {', '.join(configs)}"
        )
    raise UserError(_how_to_prepare(plain, root, version or "<version>"))


def _how_to_prepare(name: str, root: str, version: str) -> str:
    wanted = os.path.join(root, name, version)
    message = f"{name} is not prepared: no {wanted}/dataset_info.json. "
    dataset = name.partition("/")[0]
    if dataset not in _library().list_builders(with_community_datasets=False):
        found = ", ".join(_folders(root)) or "nothing"
        return (
            f"{message}TFDS does not know a dataset '{dataset}', and {root} has "
            f"{found}. Check data.name (or use digits, folder:/path) and data.data_dir"
        )
    if dataset in _BY_HAND:
        message += (
            "First put ILSVRC2012_img_train.tar and ILSVRC2012_img_val.tar (from "
            f"image-net.org) in {os.path.join(root, 'downloads', 'manual')}. "
        )
    return (
        f'{message}Point data.data_dir elsewhere, or run: python -c "import '
        f"tensorflow_datasets as tfds; tfds.load('{name}', data_dir='{root}')\""
    )


def _folders(path: str) -> list[str]:
    """Returns the names of the folders in a folder; none if it is not there."""
    if not tf.io.gfile.isdir(path):
        return []
    names = (name.rstrip("/") for name in tf.io.gfile.listdir(path))
    return sorted(n for n in names if tf.io.gfile.isdir(os.path.join(path, n)))


def _is_prepared(home: str, version: str) -> bool:
    info = os.path.join(home, version, "dataset_info.json")
    return bool(_VERSION.fullmatch(version)) and tf.io.gfile.exists(info)
