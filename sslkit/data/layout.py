"""How a folder of images is understood: splits, classes, and what is left out.

Only the names and places of the files are used. `Layout.summary` says how the folder
was understood, and an ambiguous folder is refused.
"""

from __future__ import annotations

import hashlib
import itertools
import pathlib
from collections.abc import Sequence

from sslkit.data.tree import Picture, Tree, counted, shown
from sslkit.errors import UserError

__all__ = ["SPLITS", "Layout"]

SPLITS = ("train", "test", "val", "validation")
"""Names of folders that are splits, in upper or lower case, if `train` is there."""

_TEST_SHARE = 0.1
_NAMES = 10  # names in a line


class Layout:
    """The splits and classes of a tree of images; see `sslkit.data.folder.Folder`.

    Attributes:
        tree: what it is made of.
        classes: the names of the classes, sorted; empty if there are no labels.
    """

    def __init__(self, tree: Tree) -> None:
        """Finds splits and classes.

        Args:
            tree: the images.

        Raises:
            UserError: if it has several folders for one split, if it has splits but no
                `train`, or if its folders may be splits as well as classes.
        """
        self.tree = tree
        self._notes: list[str] = []
        self._left_out: list[str] = []
        tops = _by_top(tree.pictures, 0)
        self._splits = self._find_splits(tops)
        depth = 1 if self._splits else 0
        home = self._splits.get("train")
        trained = tops[home] if home is not None else tree.pictures
        self.classes = self._find_classes(trained, depth)
        if self._splits:
            self._leave_out(tops)
        self._name_empty(depth)

    @property
    def root(self) -> pathlib.Path:
        """The folder."""
        return self.tree.root

    def part(self, split: str) -> list[tuple[Picture, int]]:
        """Returns the images of a split with their labels, -1 if there are none.

        Args:
            split: `train`, `test`, or the name of another folder of a split.

        Raises:
            UserError: if there is no such split, if it is empty, or if it has a class
                that is not in the training split.
        """
        name = split.lower()
        if not self._splits:
            return self._of_whole(name, split)
        if name not in self._splits:
            found = sorted(self._splits.values(), key=str.lower)
            raise UserError(
                f"{self.root} has no split '{split}'; it has {', '.join(found)}. Set "
                f"data.test to one of them, or make {self.root / split}"
            )
        pictures = _by_top(self.tree.pictures, 0)[self._splits[name]]
        labelled = self._labelled(pictures, depth=1)
        if not labelled:
            raise UserError(
                f"{self.root / self._splits[name]} has no image in the folder of a "
                f"class; the classes are {_listed(self.classes)}"
            )
        return labelled

    def summary(self, train: str = "train", test: str = "test") -> str:
        """Returns one line: classes, images of each split, and what is left out.

        Args:
            train: the split that is trained on.
            test: the split that is evaluated on.
        """
        if self.classes:
            what = f"{len(self.classes)} classes ({_listed(self.classes)})"
        else:
            what = "no classes"
        number = self._count(train)
        parts = [f"{counted(number, 'training image')}{self._where(train)}"]
        tested = self._count(test)
        if tested:
            parts = [f"{number:,} training{self._where(train)}"]
            parts.append(f"{counted(tested, 'test image')}{self._where(test)}")
        elif test.lower() in self._splits:
            parts.append(f"none{self._where(test)} that can be tested on")
        elif not self.classes and not self._splits:
            parts.append("no test images, because there are no classes")
        else:
            parts.append("no test images")
        line = "; ".join([f"{what}, {' and '.join(parts)}", *self._notes])
        used = {train.lower(), test.lower()}
        left_out = [
            f"split {shown(folder)} ({self._count(name):,} images)"
            for name, folder in self._splits.items()
            if name not in used
        ]
        left_out += [*self._left_out, self.tree.kinds(), *self.tree.passed]
        left_out = [phrase for phrase in left_out if phrase]
        return line + (f"; left out: {', '.join(left_out)}" if left_out else "")

    def _count(self, split: str) -> int:
        try:
            return len(self.part(split))
        except UserError:
            return 0

    def _where(self, split: str) -> str:
        if split.lower() in self._splits:
            return f" in {shown(self._splits[split.lower()])}"
        return ""

    def _of_whole(self, name: str, split: str) -> list[tuple[Picture, int]]:
        labelled = self._labelled(self.tree.pictures, depth=0)
        if not self.classes and name == "train":
            return labelled
        if not self.classes or name not in ("train", "test"):
            has = (
                "train and test" if self.classes else "train, because it has no labels"
            )
            raise UserError(
                f"{self.root} has no split '{split}', only {has}; use that, or make "
                f"{self.root / 'train'} and {self.root / split}"
            )
        held_out = set()
        for _, group in itertools.groupby(labelled, lambda pair: pair[1]):
            # A class of one image stays in train, and a larger one has at least one in
            # test.
            members = sorted(group, key=lambda pair: _lot(pair[0]))
            drawn = sum(_lot(picture) < _TEST_SHARE for picture, _ in members)
            held_out.update(members[: max(1, drawn)] if len(members) > 1 else [])
        part = [pair for pair in labelled if (pair in held_out) == (name == "test")]
        if not part:
            raise UserError(
                f"{self.root} has one image per class, so none can be held out for the "
                "split 'test'; add images"
            )
        return part

    def _labelled(
        self, pictures: Sequence[Picture], *, depth: int
    ) -> list[tuple[Picture, int]]:
        if not self.classes:
            return [(picture, -1) for picture in pictures]
        number = {name: place for place, name in enumerate(self.classes)}
        labelled = []
        for picture in pictures:
            top = _top(picture, depth)
            if not top:
                continue  # It is in the summary.
            if top not in number:
                home = self.root.joinpath(*picture.path.parts[:depth])
                raise UserError(
                    f"{home} has the class '{shown(top)}', which is not in the "
                    "training split; use the names of its classes: "
                    f"{_listed(self.classes)}"
                )
            labelled.append((picture, number[top]))
        return labelled

    def _find_splits(self, tops: dict[str, list[Picture]]) -> dict[str, str]:
        """Returns split -> the folder that has it; empty if there are no splits."""
        found: dict[str, str] = {}
        for name in sorted(filter(None, tops)):
            split = name.lower()
            if split not in SPLITS:
                continue
            if split in found:
                raise UserError(
                    f"{self.root} has the folders '{found[split]}' and '{name}', which "
                    "mean the same split; make one folder of them"
                )
            found[split] = name
        others = sorted(set(tops) - {"", *found.values()})
        if found and "train" not in found:
            if others:
                self._notes.append(
                    f"{_listed(sorted(found.values()))} read as a class, because there "
                    "is no folder train"
                )
                return {}
            one = next(iter(found.values()))
            raise UserError(
                f"{self.root} has images in {_listed(sorted(found.values()))} and none "
                "in a folder 'train'; make that folder, or name the images to train "
                f"on: folder:{self.root / one}"
            )
        if len(found) == 1 and others:
            inside = set(_by_top(tops[found["train"]], 1)) - {""}
            if len(inside) < 2:
                raise UserError(
                    f"{self.root} has the folder '{found['train']}' beside "
                    f"{_listed(others)}: that may be a split or a class. If it is the "
                    f"images to train on, name folder:{self.root / found['train']}; if "
                    "it is a class, give it another name"
                )
        return found

    def _find_classes(self, pictures: Sequence[Picture], depth: int) -> tuple[str, ...]:
        tops = _by_top(pictures, depth)
        stray = len(tops.pop("", []))
        if len(tops) < 2:
            self._hint(tops, stray, depth)
            return ()
        inside = len(pictures) - stray
        if stray >= inside:
            self._notes.append(
                f"{stray:,} of {len(pictures):,} images are not in a sub-folder, so "
                f"{_listed(sorted(tops))} are not read as classes"
            )
            return ()
        if stray:
            where = "" if not depth else f" in {shown(self._splits['train'])}"
            self._left_out.append(
                f"{counted(stray, 'image')}{where} outside of the classes' folders"
            )
        return tuple(sorted(tops))

    def _hint(self, tops: dict[str, list[Picture]], stray: int, depth: int) -> None:
        """Notes the only sub-folder, if its images are not all or it may have classes.

        The latter is so of a folder in the folder, as from an archive.
        """
        if len(tops) != 1:
            return
        ((name, pictures),) = tops.items()
        below = sorted(set(_by_top(pictures, depth + 1)) - {""})
        if stray:
            self._notes.append(
                f"{len(pictures):,} of them in the sub-folder {shown(name)}, which "
                "alone is not read as a class"
            )
        elif len(below) > 1:
            home = self.root.joinpath(*pictures[0].path.parts[: depth + 1])
            self._notes.append(
                f"all are in {shown(name)}; to use its {_listed(below)} as classes or "
                f"splits, name folder:{shown(str(home))}"
            )

    def _leave_out(self, tops: dict[str, list[Picture]]) -> None:
        """Notes images outside of the splits, and outside of the classes in a split."""
        for name, pictures in sorted(tops.items(), key=lambda pair: pair[0].lower()):
            if not name:
                self._left_out.append(
                    f"{counted(len(pictures), 'image')} outside of the splits"
                )
            elif name not in self._splits.values():
                self._left_out.append(
                    f"folder {shown(name)} ({counted(len(pictures), 'image')}), which "
                    "is not a split"
                )
            elif self.classes and name != self._splits["train"]:
                stray = len(_by_top(pictures, 1).get("", []))
                if stray:
                    self._left_out.append(
                        f"{counted(stray, 'image')} in {shown(name)} outside of the "
                        "classes' folders"
                    )

    def _name_empty(self, depth: int) -> None:
        """Notes folders that might be classes but have no images."""
        full = {
            picture.path.parts[:levels]
            for picture in self.tree.pictures
            for levels in range(1, depth + 2)
        }
        empty = [
            shown(str(folder))
            for folder in sorted(self.tree.folders)
            if len(folder.parts) <= depth + 1
            and folder.parts not in full
            and (len(folder.parts) == 1 or folder.parts[0] in self._splits.values())
        ]
        if empty:
            word = "folder" if len(empty) == 1 else "folders"
            self._left_out.append(f"{word} without images: {_listed(empty)}")


def _lot(picture: Picture) -> float:
    """Returns a number in [0, 1) that depends only on an image's path.

    So adding images to a folder does not move other images between the training and the
    test split.
    """
    name = picture.path.as_posix().encode("utf-8", "surrogateescape")
    return int.from_bytes(hashlib.blake2s(name, digest_size=8).digest()) / 2**64


def _top(picture: Picture, depth: int) -> str:
    parts = picture.path.parts
    return parts[depth] if len(parts) > depth + 1 else ""


def _by_top(pictures: Sequence[Picture], depth: int) -> dict[str, list[Picture]]:
    """Groups images by their folder at a depth; the empty name is for those in none."""
    groups: dict[str, list[Picture]] = {}
    for picture in pictures:
        groups.setdefault(_top(picture, depth), []).append(picture)
    return groups


def _listed(names: Sequence[str]) -> str:
    more = ", …" if len(names) > _NAMES else ""
    return ", ".join(map(shown, names[:_NAMES])) + more
