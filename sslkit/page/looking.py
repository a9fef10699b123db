"""Opens a run and computes what the page shows of its encoder.

This is a map of the features, nearest neighbours, mistakes, and views of some images.
The features of both splits are computed once.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import get_args

import numpy as np

from sslkit import runs
from sslkit.api import Augmentation, Features
from sslkit.errors import UserError
from sslkit.evaluate.features import FrozenEncoder, frozen
from sslkit.evaluate.knn import KNN
from sslkit.evaluate.protocol import Planned
from sslkit.evaluate.splits import Splits
from sslkit.page.album import Album
from sslkit.page.mapping import Layout, Map, draw_map
from sslkit.page.mistakes import Mistakes, find_mistakes
from sslkit.page.neighbours import Row, neighbour_rows
from sslkit.page.record import Record
from sslkit.page.thumbnails import Picture, picture
from sslkit.pictures import contact_sheet
from sslkit.source import Source

__all__ = ["Look", "Options", "Sheet", "look"]

_BANK = 10_000
_SCORED = 2_000
_SPRITE_SIDE = 40
_VIEW_SIDE = 96
_SHEET_ROWS = 3


@dataclasses.dataclass(frozen=True)
class Options:
    """What to show of an encoder.

    Attributes:
        images: the largest number of images in the map.
        layout: how the images are placed in the map.
        rows: for how many random images the neighbours are shown.
        overrides: bindings for opening the run again.
        data_dir: the folder of the datasets.
    """

    images: int = 1000
    layout: Layout = "pca"
    rows: int = 6
    overrides: Sequence[str] = ()
    data_dir: str | None = None

    def __post_init__(self) -> None:
        """Refuses wrong numbers and names.

        Raises:
            UserError: if a value is not allowed; names it and what is wanted.
        """
        for name, least in (("images", 2), ("rows", 1)):
            value = getattr(self, name)
            if not isinstance(value, int) or value < least:
                raise UserError(f"{name} is {value!r}; give {least} or more.")
        if self.layout not in get_args(Layout):
            known = ", ".join(get_args(Layout))
            raise UserError(f"the map is {self.layout!r}; it must be one of {known}.")


@dataclasses.dataclass(frozen=True)
class Sheet:
    """An image and its views."""

    image: Picture
    views: tuple[tuple[Picture, str], ...]
    """Each with a line about the operations that were drawn for it."""


@dataclasses.dataclass(frozen=True)
class Look:
    """What is shown of an encoder."""

    step: int
    """The step of the checkpoint."""
    split: str
    """The split whose images the map shows, e.g. `digits/test`."""
    shown: int
    """How many of its images the map shows."""
    of: int
    """How many images the split has."""
    map: Map
    faces: np.ndarray
    """uint8 [shown, side, side, 3], the images of the map's points."""
    rows: tuple[Row, ...]
    searched: str
    """Where neighbours were searched, e.g. `1,437 images of digits/train`."""
    mistakes: Mistakes | None
    """None if there are no labels."""
    views: tuple[Sheet, ...]
    notes: tuple[str, ...]

    def thinned(self, most: int) -> Look:
        """Returns the same with fewer images in the map, and a note about that.

        Args:
            most: the largest number of images.
        """
        if self.shown <= most:
            return self
        keep = _spaced(self.shown, most)
        note = (
            f"the map shows {most:,} images instead of {self.shown:,}, so that the "
            "page stays small"
        )
        others = tuple(one for one in self.notes if "so that the page" not in one)
        return dataclasses.replace(
            self,
            shown=most,
            map=self.map.at(keep),
            faces=self.faces[keep],
            notes=(*others, note),
        )


def look(record: Record, how: Options) -> Look:
    """Opens a run's latest checkpoint and encodes some of its data.

    Args:
        record: the run.
        how: what to show.

    Raises:
        UserError: if the run cannot be opened, its data is missing, or its features are
            not finite.
    """
    opened = runs.reopen(record.path, how.overrides, data_dir=how.data_dir)
    training = opened.training
    with training.arithmetic.held():
        training.runner.strategy  # noqa: B018
        step = training.load(opened.workdir)
        planned = runs.evaluation(opened.config, training)
        encoder = training.objective.encoder
        seen = _seen(
            planned, frozen(lambda images: encoder(images, training=False)), how
        )
        views = _views(training.source, training.bound_augmentation, training.seed)
    skipped = tuple(training.data.skipped())
    return dataclasses.replace(
        seen, step=step, views=views, notes=(*seen.notes, *skipped)
    )


def _seen(planned: Planned, encode: FrozenEncoder, how: Options) -> Look:
    notes: list[str] = []
    size = planned.size
    splits = dataclasses.replace(
        planned.splits,
        bank_limit=_least(planned.splits.bank_limit, _BANK),
        test_limit=_least(planned.splits.test_limit, _SCORED),
    )
    why_not = _unlabelled(splits)
    bank = splits.features("bank", encode, size=size)
    bank_album = Album(splits.source("bank"), size)
    if _has_test(splits):
        shown = splits.features("test", encode, size=size)
        album = Album(splits.source("test"), size)
    else:
        shown, album = bank, bank_album
        notes.append("there is no test split, so training images are shown")
    mistakes = None
    if why_not is None:
        mistakes = find_mistakes(
            bank.labelled(),
            shown.labelled(),
            bank_album,
            album,
            temperature=_temperature(planned),
        )
    else:
        notes.append(f"{why_not}; without classes the map shows clusters")
    points = _head(shown, how.images)
    return Look(
        step=0,
        split=album.source.name,
        shown=len(points.index),
        of=album.source.size,
        map=draw_map(points, album, how.layout),
        faces=album.images(points.index.tolist(), _SPRITE_SIDE),
        rows=neighbour_rows(bank, shown, bank_album, album, count=how.rows),
        searched=f"{len(bank.index):,} images of {bank_album.source.name}",
        mistakes=mistakes,
        views=(),
        notes=tuple(notes),
    )


def _temperature(planned: Planned) -> float:
    """Returns the temperature of the run's own kNN, or the default without one."""
    for protocol in planned.protocols:
        if isinstance(protocol, KNN):
            return protocol.temperature
    return KNN().temperature


def _head(features: Features, count: int) -> Features:
    """Returns some rows, evenly spaced."""
    if len(features.index) <= count:
        return features
    keep = _spaced(len(features.index), count)
    return Features(features.features[keep], features.label[keep], features.index[keep])


def _spaced(size: int, count: int) -> np.ndarray:
    return np.linspace(0, size - 1, count).astype(np.int64)


def _has_test(splits: Splits) -> bool:
    try:
        splits.source("test")
    except UserError:
        return False
    return True


def _unlabelled(splits: Splits) -> str | None:
    try:
        found = splits.unlabelled()
        return None if found is None else found.why
    except UserError as error:
        return str(error).rstrip(".")


def _views(source: Source, augmentation: Augmentation, seed: int) -> tuple[Sheet, ...]:
    lines = contact_sheet.lines(source, augmentation, count=_SHEET_ROWS, seed=seed)
    return tuple(
        Sheet(
            picture(line.image, f"{line.title}, the image", _VIEW_SIDE),
            tuple(
                (picture(view, f"View of {line.title}: {caption}", _VIEW_SIDE), caption)
                for view, caption in zip(line.views, line.captions, strict=True)
            ),
        )
        for line in lines
    )


def _least(one: int | None, other: int) -> int:
    return other if one is None else min(one, other)
