"""Rows of images: random queries, each with those that are most like it."""

from __future__ import annotations

import dataclasses

import numpy as np

from sslkit.evaluate.features import Features
from sslkit.evaluate.knn import nearest
from sslkit.page.album import Album
from sslkit.page.thumbnails import Picture, picture

SIDE = 96
"""Pixels of an image, at most."""
_NEAR = 8


@dataclasses.dataclass(frozen=True)
class Neighbour:
    """An image that was found."""

    picture: Picture
    name: str
    of_class: str
    """Its class; empty where it has none."""
    cosine: float
    agrees: bool | None
    """Whether it is of the query's class; None where one of them has none."""


@dataclasses.dataclass(frozen=True)
class Row:
    """A query and what was found for it, the nearest first."""

    query: Picture
    name: str
    of_class: str
    near: tuple[Neighbour, ...]


def neighbour_rows(
    bank: Features,
    queries: Features,
    bank_album: Album,
    album: Album,
    *,
    count: int,
) -> tuple[Row, ...]:
    """Draws queries and finds their neighbours.

    Args:
        bank: where to look; a query that is in it does not find itself.
        queries: of what.
        bank_album: names of the bank's examples.
        album: names of the queries'.
        count: queries, of those that there are.
    """
    chosen = np.random.default_rng(0).permutation(len(queries.index))[:count]
    same = bank_album.source is album.source
    most = min(_NEAR + same, len(bank.index))
    near, cosine = nearest(bank.features, queries.features[chosen], most)
    return tuple(
        row(bank, bank_album, queries, album, int(place), found, closeness)
        for place, found, closeness in zip(chosen, near, cosine, strict=True)
    )


def row(
    bank: Features,
    bank_album: Album,
    queries: Features,
    album: Album,
    place: int,
    near: np.ndarray,
    cosine: np.ndarray,
    most: int = _NEAR,
) -> Row:
    """Returns the pictures of one query and its neighbours.

    Args:
        bank: where was looked.
        bank_album: names of its examples.
        queries: what was looked for.
        album: names of its examples.
        place: row of the query.
        near: int [k], rows of the bank, the nearest first.
        cosine: float [k].
        most: neighbours to show.
    """
    label, index = int(queries.label[place]), int(queries.index[place])
    itself = bank_album.source is album.source
    found = [
        (int(one), float(closeness))
        for one, closeness in zip(near, cosine, strict=True)
        if not (itself and int(bank.index[one]) == index)
    ][:most]
    (own,) = album.images([index], SIDE)
    images = bank_album.images([int(bank.index[one]) for one, _ in found], SIDE)
    title = album.title(index, label)
    return Row(
        picture(own, f"Query: {title}", SIDE),
        album.name(index),
        album.class_name(label),
        tuple(
            _neighbour(image, bank, bank_album, one, closeness, label)
            for image, (one, closeness) in zip(images, found, strict=True)
        ),
    )


def _neighbour(
    image: np.ndarray,
    bank: Features,
    album: Album,
    place: int,
    cosine: float,
    wanted: int,
) -> Neighbour:
    label = int(bank.label[place])
    title = album.title(int(bank.index[place]), label)
    agrees = None if label < 0 or wanted < 0 else label == wanted
    words = {True: ", of the same class", False: ", of another class", None: ""}[agrees]
    alt = f"Neighbour: {title}{words}, cosine {cosine:.2f}"
    return Neighbour(
        picture(image, alt, SIDE),
        album.name(int(bank.index[place])),
        album.class_name(label),
        min(cosine, 1.0),
        agrees,
    )
