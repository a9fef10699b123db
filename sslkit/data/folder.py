"""Images in a folder on disk, with or without labels."""

from __future__ import annotations

import copy
import hashlib
import os
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from sslkit.arguments import checked
from sslkit.data.decoding import READS_WEBP, decode, turn_upright
from sslkit.data.exif import UPRIGHT
from sslkit.data.headers import READ
from sslkit.data.layout import Layout
from sslkit.data.records import fingerprint
from sslkit.data.tree import counted, read_tree, shown
from sslkit.errors import UserError
from sslkit.source import Source

__all__ = ["Folder"]


class Folder(Source):
    """The JPEG, PNG, GIF (first frame), WebP and BMP images in a folder, by path.

    Splits: if the folder has a sub-folder `train`, then sub-folders that are called
        `train`, `test`, `val` or `validation`, in upper or lower case, are the splits.
        Otherwise, with labels, `test` is about a tenth of each class, but at least one
        image per class, chosen by a hash of the path, so that adding images does not
        move the others to another split; `train` is the rest. Without labels, all
        images are `train` and there is no other split.

    Labels: if at least two sub-folders of the training split have images, each of them
        is a class, numbered in sorted order. A few images outside of them are left out;
        if half or more of all images are outside, there are no labels.

    The type of a file is found from its first bytes, not from its extension. Other
    files, files and folders whose names start with a dot, and folders that systems
    create (`__MACOSX`, `@eaDir`, ...) are left out. `summary` says how the folder was
    understood.

    Args:
        split: `train`, or another sub-folder next to it.
        path: the folder.
        exif: whether images are rotated according to their EXIF orientation.

    Raises:
        UserError: if there is no such folder or split, or no image in it, if something
            cannot be read, or if it is not clear what the sub-folders mean.
    """

    @checked
    def __init__(self, *, split: str, path: str, exif: bool = True) -> None:
        """Looks at every file of the folder; see the class."""
        root = pathlib.Path(path).expanduser()
        layout = Layout(read_tree(root, exif=exif, webp=READS_WEBP))
        self._take(layout, split, path)

    def beside(self, split: str) -> Folder:
        """Opens another split of the folder, which is not read again; see `Source`."""
        other = copy.copy(self)
        # Each split has its own list of examples that cannot be read.
        other.__dict__.pop("_unreadable", None)
        other._take(self._layout, split, self._path)
        return other

    def _take(self, layout: Layout, split: str, path: str) -> None:
        self._layout, self._path = layout, path
        self._pictures, labels = zip(*layout.part(split), strict=True)
        self.name = f"folder:{path}/{split}"
        self.size = len(self._pictures)
        self.classes = len(layout.classes) or None
        self.label_names = tuple(map(shown, layout.classes))
        turns = [picture.orientation for picture in self._pictures]
        self._all_upright = set(turns) == {UPRIGHT}
        with tf.device("CPU:0"):
            self._paths = tf.constant(
                [os.fsencode(layout.root / p.path) for p in self._pictures]
            )
            self._labels = tf.constant(labels, tf.int32)
            self._turns = tf.constant(turns, tf.int32)

    def example(self, index: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Reads and decodes one file; see `Source.example`."""
        image = decode(tf.io.read_file(tf.gather(self._paths, index)))
        if not self._all_upright:
            image = turn_upright(image, tf.gather(self._turns, index))
        return image, tf.gather(self._labels, index)

    def check(self) -> None:
        """Refuses files that are not images if `on_error` is `raise`; see `Source`."""
        others = self._layout.tree.others
        if others and self.on_error == "raise":
            place, what = others[0]
            raise UserError(
                f"{shown(str(self._layout.root / place))} is not read: {what}, not a "
                f"{READ} image; remove it, or set data.on_error = 'skip'"
            )

    def summary(self) -> str:
        """Returns how the folder was understood; see `Source.summary`."""
        where = shown(str(self._layout.root))
        return f"data folder:{where}: {self._layout.summary(*self.parts)}"

    def labels(self) -> np.ndarray:
        """Returns the classes of the files; see `Source.labels`."""
        return self._labels.numpy()

    def identity(self) -> str:
        """Returns a digest of the files, their paths, labels and orientations."""
        files = [self.file(index) for index in range(self.size)]
        labels = self._labels.numpy().tolist()
        turns = self._turns.numpy().tolist()
        return f"{fingerprint(files)} {labels} {self.label_names} {turns}"

    def record(self) -> Mapping[str, Any]:
        """Returns the names and sizes of the files, digested; see `Source.record`."""
        digest = hashlib.sha256()
        for picture in self._pictures:
            digest.update(os.fsencode(picture.path))
            digest.update(b"\0%d\0" % picture.size)
        return {**super().record(), "files": digest.hexdigest()[:32]}

    def file(self, index: int) -> str:
        """Returns the file's path."""
        return str(self._layout.root / self._pictures[index].path)

    def describe(self, index: int) -> str:
        """Returns the file's path as it can be printed."""
        return shown(self.file(index))

    def skipped(self, *, limit: int = 20) -> list[str]:
        """Returns what could not be read, and the files that are not images."""
        lines = super().skipped(limit=limit)
        others = self._layout.tree.others
        if others:
            lines.append(f"left out {counted(len(others), 'file')}:")
            lines += [
                f"{shown(str(self._layout.root / path))}: {what}"
                for path, what in others[:limit]
            ]
            if len(others) > limit:
                lines.append(f"and {len(others) - limit} more")
        return lines
