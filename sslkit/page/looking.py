"""What an encoder makes of the data: features of both sides, read once."""

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
from sslkit.page.neighbourhood import Row, neighbour_rows
from sslkit.page.record import Record
from sslkit.page.thumbnails import Picture, picture
from sslkit.pictures import contact_sheet
from sslkit.source import Source

__all__ = ["Look", "Looking", "Sheet", "look"]

_BANK = 10_000
_SCORED = 2_000
_SPRITE_SIDE = 40
_VIEW_SIDE = 96
_SHEET_ROWS = 3


@dataclasses.dataclass(frozen=True)
class Looking:
    """How closely to look.

    Attributes:
        images: points of the map, at most.
        layout: what places them.
        rows: random queries whose neighbours are shown.
        overrides: bindings for opening the run again.
        data_dir: where datasets are.
    """

    images: int = 1000
    layout: Layout = "pca"
    rows: int = 6
    overrides: Sequence[str] = ()
    data_dir: str | None = None

    def __post_init__(self) -> None:
        """Refuses numbers and names that mean nothing.

        Raises:
            UserError: naming what came and what is wanted.
        """
        for name, least in (("images", 2), ("rows", 1)):
            value = getattr(self, name)
            if not isinstance(value, int) or value < least:
                raise UserError(f"{name} is {value!r}; give {least} or more.")
        if self.layout not in get_args(Layout):
            known = ", ".join(get_args(Layout))
            raise UserError(f"the map is {self.layout!r}; it is one of {known}.")


@dataclasses.dataclass(frozen=True)
class Sheet:
    """What the views of one image look like."""

    image: Picture
    views: tuple[tuple[Picture, str], ...]
    """Each with what was drawn for it."""


@dataclasses.dataclass(frozen=True)
class Look:
    """What was seen."""

    step: int
    """Updates of the checkpoint."""
    split: str
    """What the points of the map are of, e.g. `digits/test`."""
    shown: int
    """Of how many of its images; the others are left out."""
    of: int
    map: Map
    faces: np.ndarray
    """uint8 [shown, side, side, 3], the images of the map's points."""
    rows: tuple[Row, ...]
    searched: str
    """Where neighbours were looked for, e.g. `1,437 images of digits/train`."""
    mistakes: Mistakes | None
    """None where there are no labels."""
    views: tuple[Sheet, ...]
    notes: tuple[str, ...]

    def thinned(self, most: int) -> Look:
        """Returns the same with fewer points, and says so in its notes.

        Args:
            most: points, at most.
        """
        if self.shown <= most:
            return self
        keep = _spaced(self.shown, most)
        note = (
            f"the map shows {most:,} images, not {self.shown:,}, so that the page "
            "stays small"
        )
        others = tuple(one for one in self.notes if "so that the page " not in one)
        return dataclasses.replace(
            self,
            shown=most,
            map=self.map.at(keep),
            faces=self.faces[keep],
            notes=(*others, note),
        )


def look(record: Record, how: Looking) -> Look:
    """Opens a run's latest checkpoint and encodes some of its data.

    Args:
        record: the run.
        how: how closely.

    Raises:
        UserError: if the run cannot be opened, its data is not there, or what it says
            is not finite.
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


def _seen(planned: Planned, encode: FrozenEncoder, how: Looking) -> Look:
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
        notes.append("there is no test split: what is shown are training images")
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
        notes.append(f"{why_not}; so there are no classes, and the map shows clusters")
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
    """Returns that of the run's own nearest neighbours, or else the usual one."""
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
        return splits.unlabelled()
    except UserError as error:
        return str(error).rstrip(".")


def _views(source: Source, augmentation: Augmentation, seed: int) -> tuple[Sheet, ...]:
    lines = contact_sheet.lines(source, augmentation, count=_SHEET_ROWS, seed=seed)
    return tuple(
        Sheet(
            picture(line.image, f"{line.title}, as it is", _VIEW_SIDE),
            tuple(
                (picture(view, f"View of {line.title}: {caption}", _VIEW_SIDE), caption)
                for view, caption in zip(line.views, line.captions, strict=True)
            ),
        )
        for line in lines
    )


def _least(one: int | None, other: int) -> int:
    return other if one is None else min(one, other)
