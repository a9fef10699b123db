"""Rows of images: random queries, each with the images most similar to it."""

from __future__ import annotations

import dataclasses

import numpy as np

from sslkit.evaluate.features import Features
from sslkit.evaluate.knn import nearest
from sslkit.page.album import Album
from sslkit.page.thumbnails import Picture, picture

SIDE = 96
"""The largest side of an image, in pixels."""
_NEAR = 8


@dataclasses.dataclass(frozen=True)
class Neighbour:
    """An image that was found."""

    picture: Picture
    name: str
    of_class: str
    """Its class; empty if it has no label."""
    cosine: float
    agrees: bool | None
    """Whether it is of the query's class; None if one of them has no label."""


@dataclasses.dataclass(frozen=True)
class Row:
    """A query and its neighbours, the nearest first."""

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
        bank: the features to search; a query that is in it does not find itself.
        queries: the features to choose queries from.
        bank_album: the names of the bank's examples.
        album: the names of the queries' examples.
        count: how many queries to choose.
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
        bank: the features that were searched.
        bank_album: the names of its examples.
        queries: the features that the query is one of.
        album: the names of its examples.
        place: the row of the query.
        near: int [k], rows of the bank, the nearest first.
        cosine: float [k].
        most: how many neighbours to show.
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
