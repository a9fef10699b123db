"""Images in a NumPy archive, for data that a notebook or a test has in memory."""

from __future__ import annotations

import hashlib
import os
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from sslkit.arguments import checked
from sslkit.data.records import fingerprint
from sslkit.errors import UserError, first_line
from sslkit.source import Source

__all__ = ["Arrays"]

_IMAGES, _LABELS, _NAMES = "_images", "_labels", "label_names"


class Arrays(Source):
    """The splits of an `.npz` archive, held in memory.

    A split `train` has `train_images`, uint8 [n, height, width, 3], or [n, height,
    width] for grey images. It may have `train_labels`, integers [n] from 0 on, or -1
    for an image without a label. The archive may also have `label_names`, strings
    [classes]; without them, the number of classes follows from the largest label of all
    splits. To write an archive:

        numpy.savez("mine.npz", train_images=..., train_labels=..., test_images=...)

    Args:
        split: the name before `_images`.
        path: the archive.

    Raises:
        UserError: if the file cannot be read, does not have the split, or has arrays of
            other shapes or types.
    """

    @checked
    def __init__(self, *, split: str, path: str) -> None:
        """Reads the split into memory; see the class."""
        self._file = os.path.expanduser(path)
        arrays = _read(self._file, split)
        images = _images(arrays[split + _IMAGES], split, path)
        labels = arrays.get(split + _LABELS)
        self.name = f"arrays:{path}/{split}"
        self.size = len(images)
        self.label_names = tuple(str(name) for name in arrays.get(_NAMES, ()))
        self.classes = None
        if labels is None:
            labels = np.full(len(images), -1)
        else:
            labels = _labels(labels, split, path, images=len(images))
            most = max(
                _labels(found, key.removesuffix(_LABELS), path).max(initial=-1)
                for key, found in arrays.items()
                if key.endswith(_LABELS)
            )
            self.classes = len(self.label_names) or int(most) + 1 or None
            if most >= (self.classes or 0) and self.classes:
                raise UserError(
                    f"{path} has a label {most} and {self.classes} label_names; name "
                    "each class, in the order of the labels"
                )
        with tf.device("CPU:0"):
            self._images = tf.constant(images)
            self._labels = tf.constant(labels, tf.int32)

    def example(self, index: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Looks one image up; see `Source.example`."""
        image = tf.gather(self._images, index)
        if image.shape.rank == 2:
            image = tf.repeat(image[..., tf.newaxis], 3, axis=-1)
        return image, tf.gather(self._labels, index)

    def labels(self) -> np.ndarray:
        """Returns the labels; see `Source.labels`."""
        return self._labels.numpy()

    def why_unlabelled(self) -> str:
        """Returns which array is missing; see `Source.why_unlabelled`."""
        return f"has no array {self.name.rpartition('/')[2]}{_LABELS}"

    def identity(self) -> str:
        """Returns a digest of the file; see `Source.identity`."""
        return f"{fingerprint([self._file])} {self.name}"

    def record(self) -> Mapping[str, Any]:
        """Returns a digest of the pixels and labels; see `Source.record`."""
        digest = hashlib.sha256()
        for column in (self._images, self._labels):
            digest.update(np.ascontiguousarray(column.numpy()).data)
        return {**super().record(), "arrays": digest.hexdigest()[:32]}


def _read(path: str, split: str) -> dict[str, np.ndarray]:
    try:
        # Loading arrays of Python objects would run code, so they are refused here.
        loaded = np.load(path, allow_pickle=False)
        if not isinstance(loaded, np.lib.npyio.NpzFile):
            raise UserError(
                f"{path} holds one array; wanted an archive of several, as "
                "numpy.savez writes"
            )
        with loaded as archive:
            splits = sorted(
                key.removesuffix(_IMAGES)
                for key in archive.files
                if key.endswith(_IMAGES)
            )
            if split not in splits:
                raise UserError(
                    f"{path} has no split '{split}', which would be an array "
                    f"{split}{_IMAGES}; it has {', '.join(splits) or 'none'}"
                )
            wanted = (split + _IMAGES, _NAMES)
            return {
                key: archive[key]
                for key in archive.files
                if key in wanted or key.endswith(_LABELS)
            }
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise UserError(f"{path} cannot be read: {first_line(error)}") from error


def _images(images: np.ndarray, split: str, path: str) -> np.ndarray:
    if images.ndim == 4 and images.shape[-1] == 1:
        images = images[..., 0]
    colour = images.ndim == 4 and images.shape[-1] == 3
    if images.dtype != np.uint8 or not (colour or images.ndim == 3) or not images.size:
        raise UserError(
            f"{path}: {split}{_IMAGES} is {images.dtype} {list(images.shape)}; wanted "
            "uint8 [n, height, width, 3], or [n, height, width] for grey images"
        )
    return images


def _labels(
    labels: np.ndarray, split: str, path: str, *, images: int | None = None
) -> np.ndarray:
    fits = labels.ndim == 1 and (images is None or len(labels) == images)
    if not (np.issubdtype(labels.dtype, np.integer) and fits):
        wanted = "n" if images is None else images
        raise UserError(
            f"{path}: {split}{_LABELS} is {labels.dtype} {list(labels.shape)}; wanted "
            f"integers [{wanted}], from 0 on, -1 for none"
        )
    if labels.min(initial=0) < -1 or labels.max(initial=0) >= 2**31:
        raise UserError(
            f"{path}: {split}{_LABELS} goes from {labels.min()} to {labels.max()}; "
            "labels are 0 or more, and -1 for none"
        )
    return labels
