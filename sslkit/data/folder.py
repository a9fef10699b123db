"""Images in a folder on disk, with or without labels."""

from __future__ import annotations

import collections
import itertools
import logging
import os
import pathlib
from collections.abc import Iterator

import tensorflow as tf

from sslkit.data.decoding import decode
from sslkit.data.records import fingerprint
from sslkit.data.sources import OnError, Source
from sslkit.errors import UserError

__all__ = ["Folder"]

_log = logging.getLogger(__name__)

_SPLITS = ("train", "test", "val", "validation")
_MAGIC = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF87a", b"GIF89a")
_TEST_EVERY = 10
_HEADER = 30  # bytes up to and with a BMP's bits per pixel


class Folder(Source):
    """The JPEG, PNG, GIF (first frame) and BMP images under a folder, sorted by path.

    Splits: if the folder has a sub-folder `train`, then `train`, `test`, `val` and
    `validation` name sub-folders. Otherwise, with labels, `test` is every tenth image
    of each class (of a smaller class the last) and `train` the others; without labels
    all of it is `train` and there is no other split.

    Labels: if the training split has at least two sub-folders and no image lies outside
    them, each is a class, numbered in sorted order; otherwise there are no labels.

    What a file is, its first bytes say, not its ending. Other files, and files and
    folders whose names start with a dot, are skipped; the log says how many. EXIF
    orientation is not applied.
    """

    def __init__(self, path: str, split: str, *, on_error: OnError = "skip") -> None:
        """Lists the images.

        Args:
            path: the folder.
            split: `train`, or another sub-folder next to it.
            on_error: see `Source`; `raise` also refuses files that are no images.

        Raises:
            UserError: if the folder, the split or any image is missing, something
                cannot be read, or a class is not in the training split.
        """
        root = pathlib.Path(path).expanduser()
        trained = _split_folder(root, "train")
        whole = trained == root
        home = root if whole else _split_folder(root, split)
        images, self._others = _images(home)
        if self._others and on_error == "raise":
            raise UserError(
                f"{self._others[0]} is no JPEG, PNG, GIF or true-colour BMP image; "
                "remove it, or set data.on_error = 'skip'"
            )
        names = _sub_folders(trained)
        tops = [_top(image) for image in images]
        labelled = len(names) > 1 and "" not in tops
        if whole:
            images = _part(images, root, split, labelled=labelled)
            tops = [_top(image) for image in images]
        self.name = f"folder:{path}/{split}"
        self.size = len(images)
        self.on_error = on_error
        if labelled and (unknown := sorted(set(tops) - set(names))):
            raise UserError(
                f"{home} has the class '{unknown[0]}', which {trained} has not; "
                f"name its classes as there: {', '.join(names[:10])}"
            )
        self.classes = len(names) if labelled else None
        self.label_names = tuple(names) if labelled else ()
        number = {name: place for place, name in enumerate(names)}
        with tf.device("CPU:0"):
            self._paths = tf.constant([os.fsencode(home / image) for image in images])
            self._labels = tf.constant(
                [number[top] if labelled else -1 for top in tops], tf.int32
            )

    def example(self, index: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Reads and decodes one file; see `Source.example`."""
        content = tf.io.read_file(tf.gather(self._paths, index))
        return decode(content), tf.gather(self._labels, index)

    def identity(self) -> str:
        """Returns a digest of the files, their paths and their labels."""
        files = [os.fsdecode(path) for path in self._paths.numpy()]
        labels = self._labels.numpy().tolist()
        return f"{fingerprint(files)} {labels} {self.label_names}"

    def describe(self, index: int) -> str:
        """Returns the file's path."""
        return os.fsdecode(self._paths[index].numpy())

    def skipped(self, *, limit: int = 20) -> list[str]:
        """Returns what could not be read, and the files that are no images."""
        lines = super().skipped(limit=limit)
        if self._others:
            lines.append(f"skipped {len(self._others)} files that are no images:")
            lines += [str(path) for path in self._others[:limit]]
            if len(self._others) > limit:
                lines.append(f"and {len(self._others) - limit} more")
        return lines


def _top(image: pathlib.Path) -> str:
    return image.parts[0] if len(image.parts) > 1 else ""


def _part(
    images: list[pathlib.Path], root: pathlib.Path, split: str, *, labelled: bool
) -> list[pathlib.Path]:
    """Returns the images of a split of a folder that is not divided into splits."""
    if not labelled and split == "train":
        return images
    if not labelled or split not in ("train", "test"):
        has = "train and test" if labelled else "train, because it has no labels"
        raise UserError(
            f"{root} has no split '{split}', only {has}; use that, or make "
            f"{root / 'train'} and {root / split}"
        )
    held_out = set()
    for _, group in itertools.groupby(images, _top):
        members = list(group)
        last = min(_TEST_EVERY, len(members)) - 1
        # A class of one image stays whole.
        held_out.update(members[last::_TEST_EVERY] if last else [])
    return [image for image in images if (image in held_out) == (split == "test")]


def _split_folder(root: pathlib.Path, split: str) -> pathlib.Path:
    if not root.is_dir():
        what = "is not a folder" if root.exists() else "does not exist"
        raise UserError(f"{root} {what}; name a folder of images: folder:/path")
    if split == "train" and not (root / "train").is_dir():
        return root
    if split in _SPLITS and (root / split).is_dir():
        return root / split
    found = [name for name in _SPLITS if (root / name).is_dir()]
    raise UserError(f"{root} has no split '{split}'; it has {', '.join(found)}")


def _images(home: pathlib.Path) -> tuple[list[pathlib.Path], list[pathlib.Path]]:
    """Returns the images under a folder, relative to it, and other files; sorted."""
    images: list[pathlib.Path] = []
    rest: list[pathlib.Path] = []
    skipped: collections.Counter[str] = collections.Counter()
    try:
        for path in _files(home):
            refusal = _refusal(path)
            if refusal:
                skipped[refusal] += 1
                rest.append(path)
            else:
                images.append(path.relative_to(home))
    except OSError as error:
        raise UserError(
            f"cannot read {error.filename} ({error.strerror}); mend or remove it"
        ) from error
    others = ", ".join(f"{count} {what}" for what, count in sorted(skipped.items()))
    if not images:
        raise UserError(
            f"{home} holds no JPEG, PNG, GIF or BMP image ({others or 'it is empty'}); "
            "name a folder of images: folder:/path"
        )
    if others:
        _log.warning("%s: skipped %s", home, others)
    return sorted(images), sorted(rest)


def _files(home: pathlib.Path) -> Iterator[pathlib.Path]:
    def give_up(error: OSError) -> None:
        raise error

    # Links to folders are followed, each real folder once, so that a loop ends.
    seen = set()
    for folder, below, files in os.walk(home, onerror=give_up, followlinks=True):
        real = os.path.realpath(folder)
        if real in seen:
            below.clear()
            continue
        seen.add(real)
        below[:] = sorted(name for name in below if not name.startswith("."))
        yield from (pathlib.Path(folder, f) for f in files if not f.startswith("."))


def _refusal(path: pathlib.Path) -> str | None:
    """Says why a file is not used, or None if it is."""
    with open(path, "rb") as file:
        header = file.read(_HEADER)
    if header.startswith(_MAGIC):
        return None
    if not header.startswith(b"BM") or len(header) < _HEADER:
        return "other files"
    # The decoder takes a palette's indices for grey levels.
    bits = int.from_bytes(header[28:30], "little")
    return None if bits in (24, 32) else f"BMP files of {bits} bits a pixel"


def _sub_folders(home: pathlib.Path) -> list[str]:
    return sorted(
        path.name
        for path in home.iterdir()
        if path.is_dir() and not path.name.startswith(".")
    )
