"""Nearest neighbours: the images whose features are most similar to others."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from sslkit.data.batches import evaluation_batches, evaluation_indices
from sslkit.data.decoding import READS_WEBP, decode, turn_upright
from sslkit.data.headers import READ, look
from sslkit.data.tree import shown
from sslkit.errors import UserError
from sslkit.evaluate.features import stream
from sslkit.pictures.contact_sheet import Line
from sslkit.source import UNREADABLE, Source
from sslkit.views.crop import evaluation_view

__all__ = ["Match", "Query", "find", "from_files", "from_source", "lines", "sheet"]

_NAME = 28  # letters of a file's name under its picture


class Query(NamedTuple):
    """An image whose neighbours are to be found."""

    image: np.ndarray
    """uint8 [height, width, 3]."""
    title: str
    """Its file or place, and its class if it has one."""
    file: str | None
    """Its path; None if it is not a file."""
    place: int
    """Its index in the source that is searched; -1 if it is not from there."""


class Match(NamedTuple):
    """An image that was found."""

    place: int
    """Its index in the source."""
    cosine: float
    """Cosine of its features and the query's, in [-1, 1]."""


def from_files(paths: Sequence[str]) -> list[Query]:
    """Reads images whose neighbours are to be found.

    Args:
        paths: of the images.

    Raises:
        UserError: if one cannot be read.
    """
    queries = []
    for path in paths:
        try:
            header = look(path, webp=READS_WEBP)
            if header.refusal is not None:
                raise UserError(
                    f"{path} is not read: {header.refusal}, not a {READ} image"
                )
            image = decode(tf.io.read_file(path))
        except OSError as error:
            raise UserError(f"cannot read {path} ({error.strerror})") from error
        except UNREADABLE as error:
            raise UserError(f"cannot read {path}: it is damaged") from error
        image = turn_upright(image, tf.constant(header.orientation)).numpy()
        queries.append(Query(image, shown(path), path, -1))
    return queries


def from_source(source: Source, count: int) -> list[Query]:
    """Takes a fixed choice of a source's own images.

    Args:
        source: the images.
        count: how many, of those that can be read.
    """
    count = min(count, source.size)
    queries = []
    for index in evaluation_indices(source, 0, count, limit=count):
        image, label, readable = source.attempt(tf.constant(index, tf.int64))
        if readable:
            title = _title(source, index, int(label))
            queries.append(Query(image.numpy(), title, source.file(index), index))
    return queries


def find(
    encode: Callable[[tf.Tensor], tf.Tensor],
    source: Source,
    queries: Sequence[Query],
    *,
    size: int,
    count: int,
    batch_size: int = 256,
) -> list[list[Match]]:
    """Finds the images of a source that are nearest to the queries.

    Memory holds one batch and the nearest images so far.

    Args:
        encode: see `sslkit.evaluate.features.frozen`.
        source: the images that are searched.
        queries: what to look for; at least one.
        size: side of the views that are encoded, in pixels.
        count: images to find for each.
        batch_size: images encoded at once.

    Returns:
        The matches of each query, the nearest first; without the query itself if it is
        one of the source's images.

    Raises:
        UserError: if features are not finite, or there is no other image.
    """
    view = functools.partial(evaluation_view, size=size)
    wanted = np.concatenate(
        [_unit(encode(view(tf.constant(q.image))[tf.newaxis]).numpy()) for q in queries]
    )
    best = np.full([len(queries), count + 1], -np.inf, np.float32)
    places = np.full([len(queries), count + 1], -1, np.int64)
    batches = evaluation_batches(source, size=size, batch_size=batch_size, view=view)
    for part in stream(encode, batches, source=source):
        cosines = np.concatenate([best, wanted @ _unit(part.features).T], axis=1)
        indices = np.concatenate(
            [places, np.broadcast_to(part.index, [len(queries), len(part.index)])],
            axis=1,
        )
        # Stable: among equal cosines, the first in the source's order.
        order = np.argsort(-cosines, axis=1, kind="stable")[:, : count + 1]
        best = np.take_along_axis(cosines, order, axis=1)
        places = np.take_along_axis(indices, order, axis=1)
    found = []
    for query, row, near in zip(queries, places.tolist(), best.tolist(), strict=True):
        others = [
            Match(index, min(cosine, 1.0))
            for index, cosine in zip(row, near, strict=True)
            if index >= 0 and not _is_same(source, index, query)
        ]
        if not others:
            raise UserError(
                f"{source.name} holds no image but the query {query.title}; name other "
                "data with --set \"data.name = 'folder:/path'\""
            )
        found.append(others[:count])
    return found


def lines(
    source: Source, queries: Sequence[Query], found: Sequence[Sequence[Match]]
) -> list[str]:
    """Returns what was found as text: a line for each query and each match."""
    text = []
    for query, matches in zip(queries, found, strict=True):
        text.append(f"query {query.title}")
        for index, cosine in matches:
            _, label, _ = source.attempt(tf.constant(index, tf.int64))
            text.append(f"  {cosine:6.3f}  {_title(source, index, int(label))}")
    return text


def sheet(
    source: Source,
    queries: Sequence[Query],
    found: Sequence[Sequence[Match]],
) -> list[Line]:
    """Returns what was found as rows of pictures, for `contact_sheet.write`."""
    shortest = min(map(len, found))
    made = []
    for query, matches in zip(queries, found, strict=True):
        pictures, captions = [], []
        for index, cosine in matches[:shortest]:
            image, label, _ = source.attempt(tf.constant(index, tf.int64))
            pictures.append(image.numpy())
            captions.append(f"{_short(source, index, int(label))}\n{cosine:.3f}")
        if query.place < 0:
            title = _end(query.title)
        else:
            _, label, _ = source.attempt(tf.constant(query.place, tf.int64))
            title = _short(source, query.place, int(label))
        made.append(Line(query.image, f"{title}\nquery", pictures, captions))
    return made


def _unit(features: np.ndarray) -> np.ndarray:
    if not np.isfinite(features).all():
        raise UserError(
            "the encoder's output is not finite: the run has diverged. Go back to an "
            "earlier checkpoint or lower the learning rate."
        )
    length = np.linalg.norm(features, axis=1, keepdims=True)
    return features / np.maximum(length, np.finfo(np.float32).tiny)


def _is_same(source: Source, index: int, query: Query) -> bool:
    if query.place >= 0 or query.file is None:
        return index == query.place
    file = source.file(index)
    return file is not None and os.path.realpath(file) == os.path.realpath(query.file)


def _class_name(source: Source, label: int) -> str:
    if 0 <= label < len(source.label_names):
        return source.label_names[label]
    return "" if label < 0 else f"class {label}"


def _title(source: Source, index: int, label: int) -> str:
    name = _class_name(source, label)
    return source.describe(index) + (f" ({name})" if name else "")


def _short(source: Source, index: int, label: int) -> str:
    file = source.file(index)
    place = f"example {index}" if file is None else _end(shown(file))
    name = _class_name(source, label)
    return place + (f"\n{_end(name)}" if name else "")


def _end(path: str) -> str:
    name = os.path.basename(path)
    return name if len(name) <= _NAME else f"…{name[1 - _NAME :]}"
