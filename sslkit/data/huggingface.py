"""Datasets that Hugging Face's `datasets` has saved on disk; never downloads."""

from __future__ import annotations

import hashlib
import os
import types
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from sslkit.arguments import checked
from sslkit.data.decoding import decode
from sslkit.data.in_python import call
from sslkit.data.records import fingerprint
from sslkit.errors import UserError, first_line
from sslkit.source import Source

__all__ = ["HuggingFace"]

_USUAL = ("label", "labels")
_ALONE = "train"


class HuggingFace(Source):
    """One split of a dataset that `save_to_disk` has written, read by Python.

    To write one: `datasets.load_dataset("cifar10").save_to_disk("mine")`.

    Args:
        split: the split; a dataset that was saved without splits has one, `train`.
        path: the folder.
        image: the column of images; the only one unless given.
        label: the column of labels: classes or whole numbers, -1 or nothing if an image
            has none; `label` or `labels` unless given, if there is such a column.

    Raises:
        UserError: if the package `datasets` is not installed, or the folder is not such
            a dataset or does not have the split, the column, or any image.
    """

    @checked
    def __init__(
        self,
        *,
        split: str,
        path: str,
        image: str | None = None,
        label: str | None = None,
    ) -> None:
        """Opens the split; see the class."""
        library = _library()
        splits = _opened(library, path)
        if split not in splits:
            raise UserError(f"{path} has no split '{split}'; it has {_names(splits)}")
        chosen = splits[split]
        if not len(chosen):
            raise UserError(f"{path} has no example in split '{split}'; name another")
        self.name = f"huggingface:{path}/{split}"
        self.size = len(chosen)
        self._place = f"{path}/{split}"
        self._files = sorted(file["filename"] for file in chosen.cache_files)
        image = _image_column(library, chosen, path, image)
        self._label = label or next((n for n in _USUAL if n in chosen.features), None)
        self._columns = _names(chosen.features)
        self._labels, self.classes, self.label_names = np.full(self.size, -1), None, ()
        if self._label is not None:
            self._read_labels(library, splits, split, self._label, path)
        self._column = image
        images = chosen.select_columns([image])
        # Encoded as stored: TensorFlow decodes them, as for all sources.
        self._images = images.cast_column(image, library.Image(decode=False))
        with tf.device("CPU:0"):
            self._numbers = tf.constant(self._labels, tf.int32)

    def example(self, index: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Reads and decodes one row; see `Source.example`."""
        return decode(call(self._stored, index)), self.label(index)

    def label(self, index: tf.Tensor) -> tf.Tensor:
        """Returns one label; see `Source.label`."""
        return tf.gather(self._numbers, index)

    def labels(self) -> np.ndarray:
        """Returns the labels of all rows; see `Source.labels`."""
        return self._numbers.numpy()

    def why_unlabelled(self) -> str:
        """Returns what columns there are; see `Source.why_unlabelled`."""
        if self._label is not None:
            return super().why_unlabelled()
        return (
            f"has no column label or labels, but {self._columns}; name the column that "
            "is the label: sources.huggingface.label"
        )

    def record(self) -> Mapping[str, Any]:
        """Returns the files' names and sizes, and the labels; see `Source`."""
        digest = hashlib.sha256(self._labels.astype(np.int32).tobytes())
        for file in self._files:
            name, size = os.path.basename(file), os.path.getsize(file)
            digest.update(f"{name} {size}\0".encode())
        return {**super().record(), "files": digest.hexdigest()[:32]}

    def identity(self) -> str:
        """Returns a digest of the files; see `Source`."""
        return f"{fingerprint(self._files)} {self._column} {self.record()['files']}"

    def describe(self, index: int) -> str:
        """Returns the row."""
        return f"{self._place}, row {index}"

    def _stored(self, index: int) -> bytes:
        found = self._images[index][self._column]
        if found is None:
            raise ValueError("there is no image in the row")
        if found["bytes"] is not None:
            return found["bytes"]
        with open(found["path"], "rb") as file:
            return file.read()

    def _read_labels(
        self, library: Any, splits: Any, split: str, column: str, path: str
    ) -> None:
        feature = splits[split].features.get(column)
        if feature is None:
            raise UserError(
                f"{path} has no column '{column}' for the label; it has {self._columns}"
            )
        named = isinstance(feature, library.ClassLabel)
        if not named and not getattr(feature, "dtype", "").startswith(("int", "uint")):
            raise UserError(
                f"the column '{column}' of {path} is {feature}, not a class for each "
                "image; name another with sources.huggingface.label"
            )
        found = {
            name: _numbers(one, column)
            for name, one in splits.items()
            if column in one.features
        }
        low = min(one.min(initial=0) for one in found.values())
        # Over all splits: the largest label may be in another split.
        classes = 1 + int(max(one.max(initial=-1) for one in found.values()))
        if low < -1:
            raise UserError(
                f"the column '{column}' of {path} has the value {low}; labels are 0 or "
                "more, and -1 if an image has none"
            )
        names = tuple(feature.names) if named else ()
        self._labels = found[split]
        self.classes = len(names) or classes or None
        self.label_names = names


def _numbers(split: Any, column: str) -> np.ndarray:
    table = split.select_columns([column]).with_format("arrow")[:]
    values = table.column(column).cast("int64").fill_null(-1)
    return values.to_numpy().astype(np.int64)


def _image_column(library: Any, split: Any, path: str, name: str | None) -> str:
    images = [n for n, f in split.features.items() if isinstance(f, library.Image)]
    if name is None and len(images) == 1:
        return images[0]
    if name is not None and name in images:
        return name
    there = f"its images are {', '.join(images)}" if images else "it has no images"
    wanted = "name the column of images" if name is None else f"'{name}' is not one"
    raise UserError(
        f"{path}: {wanted}; {there}; its columns are {_names(split.features)}. Bind "
        "sources.huggingface.image, or cast the column to datasets.Image()"
    )


def _opened(library: Any, path: str) -> Mapping[str, Any]:
    folder = os.path.expanduser(path)
    try:
        found = library.load_from_disk(folder)
    except Exception as error:  # Its readers raise many kinds of errors.
        raise UserError(
            f"{path} is not a dataset that datasets.save_to_disk has written "
            f"({type(error).__name__}: {first_line(error)})"
        ) from error
    return found if isinstance(found, library.DatasetDict) else {_ALONE: found}


def _library() -> types.ModuleType:
    try:
        # Slow to import, and what it imports may warn.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import datasets
    except ImportError as error:
        raise UserError(
            "sources.huggingface reads with the package datasets, which is not "
            "installed: pip install 'sslkit[huggingface]'"
        ) from error
    return datasets


def _names(mapping: Mapping[str, Any]) -> str:
    return ", ".join(mapping) or "none"
