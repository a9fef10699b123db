"""The result of an audit as text, for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

_FEW = 12
"""Up to this number, all classes are listed; of more, the best and the worst."""
_SHOWN = (1, 5, 10, 20, 50, 100)
"""The values of k that the summary lists."""


def summary(found: Mapping[str, Any], path: str) -> list[str]:
    """Returns lines that say what an audit found.

    Args:
        found: as `audit.json` holds it.
        path: the run's folder.
    """
    return [*_choice(found, path), *_notes(found)]


def _choice(found: Mapping[str, Any], path: str) -> Iterator[str]:
    yield f"audit of {path} at step {found['step']} of {found['steps']}"
    others, views = found["compared_images"] - 1, found["views"]
    yield (
        f"data: {found['images']:,} images of {found['data']}, each compared with "
        f"{others:,} others in {views} view{'s' * (views != 1)}"
    )
    whose = "the run takes" if found["own_policy"] else "this audit takes"
    choice = found["choice"]
    yield (
        f"choice: {whose} {found['policy']}: {choice['found_per_image']:.1f} views per "
        "image"
    )
    if found["labels"]:
        yield from _precision_and_recall(found)
    stability = found["stability"]
    if stability["chosen_again"] is not None:
        yield (
            f"stability: with other views of all images, "
            f"{_percent(stability['chosen_again'])} of the images that were taken are "
            "taken again; by chance it would be "
            f"{_percent(stability['chosen_again_by_chance'])}"
        )


def _precision_and_recall(found: Mapping[str, Any]) -> Iterator[str]:
    choice, oracle = found["choice"], found["oracle"]
    chance = found["chance_precision"]
    if choice["precision"] is None:
        yield "precision: nothing is taken, so there is nothing to measure"
    else:
        ratio = ""
        if chance and choice["precision"] > chance:
            ratio = f", {choice['precision'] / chance:.1f} times chance"
        elif chance:
            ratio = ", not better than chance"
        yield (
            f"precision: {_percent(choice['precision'])} of the views that are taken "
            f"have the image's label; by chance {_percent(chance)}{ratio}"
        )
    if choice["recall"] is None:
        yield "recall: no image is compared with another of its label"
        return
    yield (
        f"recall: {_percent(choice['recall'])} of the "
        f"{choice['present_per_image']:.1f} views with the image's label are taken"
        + (
            ""
            if oracle["recall"] is None or choice["precision"] is None
            else f"; a perfect choice of as many views per image would have precision "
            f"{_percent(oracle['precision'])} and recall {_percent(oracle['recall'])}"
        )
    )
    few = [row for row in found["by_topk"] if row["topk"] in _SHOWN]
    yield from _curve("by top-k", "topk", few)
    tenths = [r for r in found["by_threshold"] if not round(100 * r["threshold"]) % 10]
    yield from _curve("by threshold", "threshold", tenths[-6:])
    yield from _classes(found)
    yield from _over_training(found["over_training"])


def _curve(title: str, key: str, rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    if rows:
        words = (f"{row[key]:g}: {_both(row)}" for row in rows)
        yield f"{title}, precision/recall: {', '.join(words)}"


def _classes(found: Mapping[str, Any]) -> Iterator[str]:
    rows = [row for row in found["by_class"] if row["precision"] is not None]
    if len(rows) > 1:
        rows = sorted(rows, key=lambda row: row["precision"], reverse=True)
        shown = rows if len(rows) <= _FEW else [*rows[:3], *rows[-3:]]
        words = (f"{row['class']}: {_percent(row['precision'])}" for row in shown)
        yield f"precision by class: {', '.join(words)}"
    if found["confused"]:
        words = (
            f"{row['taken_for_it_class']} for {row['class']}"
            for row in found["confused"][:3]
        )
        yield f"most often wrong: {', '.join(words)}"


def _over_training(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    if len(rows) > 1:
        words = (f"step {row['step']}: {_both(row)}" for row in rows)
        yield f"over training, precision/recall: {', '.join(words)}"
    else:
        yield (
            "over training: there is only one checkpoint; train.keep = 100 keeps more"
        )


def _notes(found: Mapping[str, Any]) -> Iterator[str]:
    for note in found["notes"]:
        yield f"note: {note}"


def _both(row: Mapping[str, Any]) -> str:
    return f"{_percent(row['precision'])}/{_percent(row['recall'])}"


def _percent(share: float | None) -> str:
    return "none" if share is None else f"{share:.1%}"
