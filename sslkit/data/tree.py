"""The files in a folder and its sub-folders: images and others."""

from __future__ import annotations

import collections
import os
import pathlib
from collections.abc import Iterator
from typing import NamedTuple

from sslkit.data.exif import UPRIGHT
from sslkit.data.headers import READ, advice, look
from sslkit.errors import UserError

__all__ = ["Picture", "Tree", "counted", "read_tree", "shown"]

_MADE_BY_MACHINES = frozenset(
    (
        "#recycle",
        "#snapshot",
        "$recycle.bin",
        "@__thumb",
        "@eadir",
        "@tmp",
        "__macosx",
        "__pycache__",
        "lost+found",
        "system volume information",
    )
)
"""Folders that file servers, archivers and systems create, in lower case."""


class Picture(NamedTuple):
    """An image that is read."""

    path: pathlib.Path
    """Relative to the tree's root."""
    size: int
    """Bytes."""
    orientation: int = UPRIGHT
    """1 to 8; see `sslkit.data.exif`."""


class Tree(NamedTuple):
    """The files and folders that were found."""

    root: pathlib.Path
    pictures: list[Picture]
    """Sorted by path."""
    others: list[tuple[pathlib.Path, str]]
    """Files that are not read, relative to the root, and the type of each; sorted."""
    folders: list[pathlib.Path]
    """All folders that were entered, relative to the root; without the root itself."""
    passed: list[str]
    """The folders that were not entered, as phrases."""

    def kinds(self) -> str:
        """Returns the types of the files that are not read, each with its count."""
        count = collections.Counter(what for _, what in self.others)
        phrases = []
        for what, number in sorted(count.items()):
            note = advice(what)
            phrases.append(counted(number, what) + (f" ({note})" if note else ""))
        return ", ".join(phrases)


def read_tree(root: pathlib.Path, *, exif: bool, webp: bool) -> Tree:
    """Looks at every file under a folder.

    Files and folders whose names start with a dot are skipped, and so are folders that
    systems create. Links to folders are followed, but each real folder is read once.

    Args:
        root: the folder.
        exif: whether to read the images' orientation.
        webp: whether WebP images can be decoded.

    Raises:
        UserError: if it is not a folder, if something in it cannot be read, or if it
            has no image.
    """
    if not root.is_dir():
        what = "is not a folder" if root.exists() else "does not exist"
        raise UserError(f"{root} {what}; name a folder of images: folder:/path")
    walk = _Walk(root)
    pictures: list[Picture] = []
    others: list[tuple[pathlib.Path, str]] = []
    try:
        for path in walk.files():
            header = look(path, exif=exif, webp=webp)
            own = path.relative_to(root)
            if header.refusal is not None:
                others.append((own, header.refusal))
            else:
                pictures.append(Picture(own, header.size, header.orientation))
    except OSError as error:
        raise UserError(
            f"cannot read {shown(os.fsdecode(error.filename))} ({error.strerror}); "
            "repair or remove it"
        ) from error
    tree = Tree(root, sorted(pictures), sorted(others), walk.folders, walk.passed())
    if not pictures:
        there = ", ".join(filter(None, [tree.kinds(), *tree.passed])) or "it is empty"
        raise UserError(
            f"{root} has no {READ} image ({there}); name a folder of images: "
            "folder:/path"
        )
    return tree


class _Walk:
    def __init__(self, root: pathlib.Path) -> None:
        self.folders: list[pathlib.Path] = []
        self._root = root
        self._hidden = 0
        self._made: collections.Counter[str] = collections.Counter()
        self._again: list[str] = []

    def files(self) -> Iterator[pathlib.Path]:
        """Yields the files, folder by folder."""

        def give_up(error: OSError) -> None:
            raise error

        # Each real folder is read once, so that a loop of links ends.
        seen = set()
        for folder, below, files in os.walk(
            self._root, onerror=give_up, followlinks=True
        ):
            own = pathlib.Path(folder).relative_to(self._root)
            real = os.path.realpath(folder)
            if real in seen:
                self._again.append(shown(str(own)))
                below.clear()
                continue
            seen.add(real)
            if own.parts:
                self.folders.append(own)
            below[:] = sorted(name for name in below if self._enters(name))
            for name in files:
                if name.startswith("."):
                    self._hidden += 1
                else:
                    yield pathlib.Path(folder, name)

    def passed(self) -> list[str]:
        """Returns the folders that were not entered, as phrases."""
        phrases = [
            f"folder {name}" if number == 1 else f"{number} folders {name}"
            for name, number in sorted(self._made.items())
        ]
        if self._hidden:
            phrases.append(counted(self._hidden, "hidden file or folder"))
        if self._again:
            phrases.append(
                f"{counted(len(self._again), 'link')} to what is read already "
                f"({', '.join(self._again[:3])}{', …' if self._again[3:] else ''})"
            )
        return phrases

    def _enters(self, name: str) -> bool:
        if name.startswith("."):
            self._hidden += 1
            return False
        if name.lower() in _MADE_BY_MACHINES:
            self._made[name] += 1
            return False
        return True


def counted(number: int, what: str) -> str:
    """Returns a count with its noun: `1 text file`, `2 text files`."""
    if number == 1:
        return f"1 {what}"
    return f"{number:,} " + " or ".join(f"{word}s" for word in what.split(" or "))


def shown(name: str) -> str:
    """Returns a name that can be printed in a line, whatever its bytes are."""
    return name if name.isprintable() else repr(name)[1:-1]
