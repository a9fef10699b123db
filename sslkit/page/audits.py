"""Reads the audit of false negatives in a run's folder, for the page."""

from __future__ import annotations

import base64
import dataclasses
import json
import os
import struct
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from sslkit.errors import UserError
from sslkit.page.curves import Curve, Line
from sslkit.page.thumbnails import Picture
from sslkit.secrets import hide
from sslkit.status.files import names, text
from sslkit.storage import reaching

_FILE = "audit.json"
_MOST_BYTES = 1_000_000
"""The largest picture that is shown."""
_PNG = b"\x89PNG\r\n\x1a\n"


@dataclasses.dataclass(frozen=True)
class Audit:
    """The parts of an audit that the page shows."""

    words: tuple[str, ...]
    numbers: tuple[tuple[str, str], ...]
    curves: tuple[Curve, ...]
    pictures: tuple[Picture, ...]
    notes: tuple[str, ...]


def read_audit(path: str, hue: int) -> Audit | None:
    """Reads `audit.json` and the pictures that it names.

    Unknown fields are ignored; if the file is damaged, there is only a note.

    Args:
        path: a run's folder.
        hue: the number of the run's colour.

    Returns:
        The audit; None if there is none.
    """
    there = names(path) or []
    if _FILE not in there:
        return None
    try:
        found = json.loads(text(os.path.join(path, _FILE)))
        return _audit(found, path, hue, there)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        again = f"`sslkit audit {hide(path)}` writes it again"
        return Audit((), (), (), (), (f"{_FILE} is damaged: {again}",))


def _audit(found: Mapping[str, Any], path: str, hue: int, there: list[str]) -> Audit:
    choice, oracle = found["choice"], found.get("oracle") or {}
    whose = "The run takes" if found.get("own_policy") else "The audit takes"
    words = [
        f"At step {found['step']:,}, on {found['images']:,} images of "
        f"{found['data']}. {whose} {found['policy']}: "
        f"{choice['found_per_image']:.1f} views per image."
    ]
    numbers: list[tuple[str, str]] = []
    if found.get("labels"):
        numbers = [
            ("precision", _percent(choice["precision"])),
            ("precision by chance", _percent(found.get("chance_precision"))),
            ("recall", _percent(choice["recall"])),
            ("precision of a perfect choice", _percent(oracle.get("precision"))),
            ("recall of a perfect choice", _percent(oracle.get("recall"))),
        ]
    stability = found.get("stability") or {}
    if stability.get("chosen_again") is not None:
        again = _percent(stability["chosen_again"])
        chance = _percent(stability.get("chosen_again_by_chance"))
        numbers.append(("taken again with other views", f"{again}; by chance {chance}"))
    notes = [str(note) for note in found.get("notes", ())]
    pictures = []
    for one in found.get("gallery", ()):
        name = os.path.basename(str(one["file"]))
        picture = None
        if name in there:
            picture = _picture(os.path.join(path, name), str(one.get("title", name)))
        if picture is None:
            notes.append(f"{name} is not shown: it is missing, damaged or too large")
        else:
            pictures.append(picture)
    return Audit(
        tuple(words), tuple(numbers), tuple(_curves(found, hue)), tuple(pictures),
        tuple(map(hide, notes)),
    )  # fmt: skip


def _curves(found: Mapping[str, Any], hue: int) -> Iterator[Curve]:
    for rows, key, title, along in (
        ("over_training", "step", "over training", "update"),
        ("by_topk", "topk", "by top-k", "top-k"),
    ):
        table = [
            row
            for row in found.get(rows, ())
            if row.get("precision") is not None and row.get("recall") is not None
        ]
        if len(table) < 2:
            continue
        steps = np.array([int(row[key]) for row in table])
        lines = []
        for place, name in enumerate(("precision", "recall")):
            values = np.array([row[name] for row in table], np.float64)
            lines.append(
                Line(name, (hue + place) % 8, steps, values, values, values, 1)
            )
        yield Curve(rows, f"Precision and recall {title}", tuple(lines), True, along)


def _percent(share: float | None) -> str:
    return "not known" if share is None else f"{share:.1%}"


def _picture(path: str, alt: str) -> Picture | None:
    try:
        with reaching("the picture", path), tf.io.gfile.GFile(path, "rb") as file:
            data = file.read(_MOST_BYTES + 1)
    except UserError:
        return None
    if len(data) > _MOST_BYTES or len(data) < 24 or not data.startswith(_PNG):
        return None
    width, height = struct.unpack(">II", data[16:24])
    encoded = base64.b64encode(data).decode("ascii")
    return Picture(f"data:image/png;base64,{encoded}", hide(alt), width, height)
