"""Pictures of images beside the images that are taken for their false negatives."""

from __future__ import annotations

import dataclasses
import heapq
import os
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from sslkit.api import Source
from sslkit.auditing.measures import Round
from sslkit.storage import reaching, replacing

_CELL = 1.25  # inches
_CAPTION = 0.46  # inches under each picture
_DPI = 100
_SPARE = 20
"""How many errors are kept for each one that is drawn."""
_NAME = 20  # letters of a name under its picture
_RIGHT, _WRONG, _OPEN, _ANCHOR = "#0072b2", "#d55e00", "#808080", "#000000"
"""Colours of frames. People who cannot see red or green can tell blue from orange. For
print without colours, wrong ones are also dashed and have the word WRONG."""


@dataclasses.dataclass(frozen=True)
class Candidate:
    """An image that is taken for a false negative."""

    place: int
    """Its place in the pool."""
    score: float
    """The highest score of its views."""
    right: bool | None
    """Whether it has the anchor's label; None if one of them has no label."""
    again: bool
    """Whether it is taken again with other views of all images."""


@dataclasses.dataclass(frozen=True)
class Shown:
    """An anchor and the images taken for its false negatives, highest score first."""

    place: int
    """Its place in the pool."""
    candidates: tuple[Candidate, ...]
    taken: int
    """How many images are taken, shown or not."""

    @property
    def worst(self) -> int | None:
        """The place of the error with the highest score; None without an error."""
        return next((c.place for c in self.candidates if c.right is False), None)


class Gallery:
    """Collects the rows of the pictures, round by round.

    Args:
        rows: rows per picture.
        columns: candidates per row, at most.
        images: the number of images in the pool.
    """

    def __init__(self, *, rows: int, columns: int, images: int):
        """Starts empty."""
        self._rows = rows
        self._columns = columns
        # The order of a run is random, so evenly spaced images are a random sample.
        self._sampled = set(np.linspace(0, images - 1, rows).astype(int).tolist())
        self._errors: list[tuple[float, int, Shown]] = []
        self.sample: list[Shown] = []

    @property
    def errors(self) -> list[Shown]:
        """The anchors whose errors have the highest scores, highest first.

        An image that is similar to many others could fill the whole picture. So the two
        images of an error are not the anchor or the error of another row.
        """
        chosen: list[Shown] = []
        led: set[int | None] = set()
        for _, _, shown in sorted(self._errors, key=_certain):
            if len(chosen) < self._rows and led.isdisjoint([shown.place, shown.worst]):
                chosen.append(shown)
                led |= {shown.place, shown.worst}
        return chosen

    def add(self, one: Round, again: np.ndarray, *, first: int) -> None:
        """Adds a round.

        Args:
            one: the round.
            again: bool [b, b], the images that are taken with other views.
            first: the place of its first image in the pool.
        """
        images, columns = one.scores.shape
        shape = [images, columns // images, images]
        taken = np.where(one.chosen, one.scores, -np.inf).reshape(shape).max(axis=1)
        known = one.labels >= 0
        alike = one.labels[:, None] == one.labels[None]
        judged = known[:, None] & known[None]
        wrong = np.where(judged & ~alike, taken, -np.inf).max(axis=1)
        for row in range(images):
            place = first + row
            sampled = place in self._sampled
            full = len(self._errors) >= self._rows * _SPARE
            bad = np.isfinite(wrong[row]) and (
                not full or wrong[row] > self._errors[0][0]
            )
            if not (sampled or bad):
                continue
            shown = self._row(
                taken[row], alike[row], judged[row], again[row], place, first
            )
            if sampled:
                self.sample.append(shown)
            if bad:
                entry = (float(wrong[row]), -place, shown)
                put = heapq.heapreplace if full else heapq.heappush
                put(self._errors, entry)

    def _row(
        self,
        taken: np.ndarray,
        alike: np.ndarray,
        judged: np.ndarray,
        again: np.ndarray,
        place: int,
        first: int,
    ) -> Shown:
        order = [
            int(c) for c in np.argsort(-taken, kind="stable") if taken[c] > -np.inf
        ]
        shown = order[: self._columns]
        wrong = [c for c in order if judged[c] and not alike[c]]
        if wrong and wrong[0] not in shown:
            shown[-1] = wrong[0]
        return Shown(
            place,
            tuple(
                Candidate(
                    first + c,
                    float(taken[c]),
                    bool(alike[c]) if judged[c] else None,
                    bool(again[c]),
                )
                for c in shown
            ),
            len(order),
        )


def _certain(entry: tuple[float, int, Shown]) -> tuple[float, int]:
    return -entry[0], -entry[1]


class Album:
    """The images of a pool, and their names."""

    def __init__(self, source: Source, indices: np.ndarray, labels: np.ndarray):
        """Keeps what is needed; reads nothing yet.

        Args:
            source: holds the images.
            indices: int64 [images], their places in it.
            labels: int32 [images].
        """
        self._source = source
        self._indices = indices
        self._labels = labels

    def image(self, place: int) -> np.ndarray:
        """Returns an image of the pool, uint8 [height, width, 3]."""
        index = tf.constant(self._indices[place], tf.int64)
        image, _, _ = self._source.search(index)
        return image.numpy()

    def class_name(self, label: int) -> str:
        """Returns the name of a label; empty if there is no label."""
        if 0 <= label < len(self._source.label_names):
            return str(self._source.label_names[label])
        return "" if label < 0 else f"class {label}"

    def describe(self, place: int) -> dict[str, Any]:
        """Returns the facts about an image as plain values."""
        index, label = int(self._indices[place]), int(self._labels[place])
        return {
            "index": index,
            "file": self._source.file(index),
            "label": label,
            "class": self.class_name(label),
        }

    def name(self, place: int) -> str:
        """Returns one or two lines of text for below an image."""
        known = self.describe(place)
        file = known["file"]
        name = f"example {known['index']}" if file is None else _end(file)
        return "\n".join(filter(None, [_end(known["class"]), name]))


def to_json(rows: Sequence[Shown], album: Album) -> list[dict[str, Any]]:
    """Returns rows as plain values."""
    return [
        {
            "anchor": album.describe(shown.place),
            "taken": shown.taken,
            "candidates": [
                {
                    **album.describe(one.place),
                    "score": one.score,
                    "right": one.right,
                    "taken_again": one.again,
                }
                for one in shown.candidates
            ],
        }
        for shown in rows
    ]


def draw(rows: Sequence[Shown], album: Album, path: str, *, title: str) -> None:
    """Draws rows of an anchor and its candidates into a PNG file.

    Args:
        rows: the rows, at least one.
        album: their images.
        path: the path of the file.
        title: a line above them.

    Raises:
        UserError: if it cannot be written.
    """
    # Slow to import, and only this function needs it. No window is ever opened.
    from matplotlib.figure import Figure

    columns = 1 + max(1, *(len(shown.candidates) for shown in rows))
    height = len(rows) * (_CELL + _CAPTION) + 0.5
    figure = Figure(figsize=(max(6.0, columns * _CELL), height), dpi=_DPI)
    figure.suptitle(title, fontsize=8, x=0.01, ha="left", parse_math=False)
    axes = figure.subplots(len(rows), columns, squeeze=False)
    for line, shown in zip(axes, rows, strict=True):
        for place in line:
            place.set_axis_off()
        count = f"{shown.taken} image{'s' * (shown.taken != 1)} taken"
        _cell(line[0], album, shown.place, count, _ANCHOR, "-")
        for place, one in zip(line[1:], shown.candidates, strict=False):
            word, colour, style = {
                True: ("right", _RIGHT, "-"),
                False: ("WRONG", _WRONG, "--"),
                None: ("", _OPEN, "-"),
            }[one.right]
            steady = "" if one.again else ", not again"
            words = f"{word} {one.score:.3f}{steady}".strip()
            _cell(place, album, one.place, words, colour, style)
    figure.subplots_adjust(
        left=0.01,
        right=0.99,
        top=1 - 0.4 / height,
        bottom=_CAPTION / height,
        wspace=0.1,
        hspace=_CAPTION / _CELL,
    )
    with (
        reaching("the picture", path, verb="written"),
        replacing(path) as beside,
        warnings.catch_warnings(),
    ):
        # A name may hold letters that the font does not have.
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        figure.savefig(beside, format="png")


def _cell(
    axes: Any, album: Album, place: int, words: str, colour: str, style: str
) -> None:
    picture = album.image(place)
    small = picture.shape[0] < _CELL * _DPI
    axes.set_axis_on()
    axes.imshow(picture, interpolation="nearest" if small else "antialiased")
    axes.set_xlabel(
        f"{words}\n{album.name(place)}", fontsize=6, labelpad=2, parse_math=False
    )
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set(color=colour, linestyle=style, linewidth=2.5)


def _end(path: str) -> str:
    name = os.path.basename(path)
    return name if len(name) <= _NAME else f"…{name[1 - _NAME :]}"
