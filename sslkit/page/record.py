"""What the files of one run say, read without TensorFlow, however broken they are."""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
import os
import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sslkit.config.reading import read_text
from sslkit.config.recipes import find_recipe
from sslkit.errors import UserError
from sslkit.evaluate.alarms import alarms
from sslkit.secrets import hide
from sslkit.status import RunStatus, read_lines, read_status
from sslkit.status.files import names, text

_PAUSE = 20
"""A gap between two lines that is so many times as long as usual is a stop."""
_SHORT = 60.0
"""Seconds; a gap below this is none, whatever is usual."""


@dataclasses.dataclass(frozen=True)
class Series:
    """One number over the run."""

    steps: tuple[int, ...]
    """Updates done, rising."""
    values: tuple[float, ...]
    """All finite."""
    lost: int = 0
    """Reports of it that were not finite, and are left out."""


@dataclasses.dataclass(frozen=True)
class Record:
    """What a run's folder holds, but for its weights."""

    path: str
    status: RunStatus
    config: str
    """The resolved configuration; empty where there is none."""
    settings: Mapping[str, str]
    """Binding -> value, both as they are written; empty where that is not known."""
    series: Mapping[str, Series]
    """Metric -> its course."""
    machine: Mapping[str, Any]
    """What the last report says of the machine."""
    seconds: float | None
    """Time between the first and the last report, stops left out."""
    speed: float | None
    """Views per second: the median of the reports."""
    waited: float | None
    """Share of `seconds` that was spent waiting for batches."""
    result: Mapping[str, Any] | None
    """The latest evaluation, as `result.json` holds it."""
    facts: Mapping[str, str]
    """Versions, devices, commit; empty for a run that has not kept them."""
    data: Mapping[str, Any]
    """What it was trained on: `name`, `size`, `classes`; empty where not known."""
    comment: str
    """What the recipe says of itself; empty where the recipe is not at hand."""
    has_checkpoint: bool
    notes: tuple[str, ...]
    """What is missing or damaged, in words."""

    @property
    def name(self) -> str:
        """The folder's own name."""
        return hide(os.path.basename(os.path.abspath(self.path)) or self.path)

    @property
    def seed(self) -> str:
        """The run's seed, as it is written."""
        return self.settings.get("train.seed", "0")

    @property
    def recipe(self) -> str:
        """The recipe as it was named; empty where that is not known."""
        first = self.config.partition("\n")[0]
        return first.removeprefix("# Resolved from ").rstrip(".") if first else ""

    @property
    def alarms(self) -> Mapping[str, str]:
        """What the last health metrics and the evaluation say is wrong, in words."""
        last = {
            name.partition("/")[2]: one.values[-1]
            for name, one in self.series.items()
            if name.startswith("health/") and one.values
        }
        measured = (self.result or {}).get("health", {}).get("trained encoder", {})
        return alarms({**last, **measured})


def read_record(path: str) -> Record:
    """Reads a run's folder.

    Args:
        path: the folder.

    Raises:
        UserError: if there is no run in it.
    """
    status = read_status(path)
    there = names(path)
    if there is None or not (status.ok or "damaged" in status.state):
        raise UserError(
            f"{hide(path)} cannot be reported: {status.state}. Name the workdir of a "
            "run, or a folder with several of them."
        )
    notes = [] if status.ok else [status.state.partition("; ")[2]]
    config = text(os.path.join(path, "config.gin")) if "config.gin" in there else ""
    settings = _settings(config, notes)
    lines = read_lines(path)[0] if "metrics.jsonl" in there else []
    if not lines:
        notes.append("there are no metrics: nothing to draw a curve of")
    seconds = _seconds(lines)
    checkpoints = names(os.path.join(path, "checkpoints")) or []
    saved = any(name.endswith(".index") for name in checkpoints)
    if not saved:
        notes.append("there is no checkpoint: what the encoder does is not shown")
    found = Record(
        path=path,
        status=status,
        config=hide(config),
        settings=settings,
        series=_series(lines),
        machine=_mapping(lines[-1].get("machine")) if lines else {},
        seconds=seconds,
        speed=_median(_machine(lines, "views_per_second")),
        waited=_share(sum(_machine(lines, "data_wait_seconds")), seconds, lines),
        result=_result(path, there, notes),
        facts={
            name: hide(str(value)) for name, value in _json(path, "facts.json").items()
        },
        data=_mapping(_json(path, "data.json").get("train")),
        comment="",
        has_checkpoint=saved,
        notes=tuple(notes),
    )
    return dataclasses.replace(found, comment=_comment(found.recipe))


def _settings(config: str, notes: list[str]) -> dict[str, str]:
    try:
        return {b.key: hide(_written(b.value)) for b in read_text(config, "config.gin")}
    except UserError:
        notes.append("config.gin is damaged: what it was configured with is not shown")
        return {}


def _written(value: Any) -> str:
    return value if isinstance(value, str) else repr(value)


def _series(lines: Sequence[Mapping[str, Any]]) -> dict[str, Series]:
    found: dict[str, tuple[list[int], list[float], list[int]]] = {}
    for line in lines:
        for name, value in line.items():
            if name in ("step", "time", "machine"):
                continue
            steps, values, lost = found.setdefault(name, ([], [], []))
            if _is_number(value):
                steps.append(line["step"])
                values.append(float(value))
            elif value is None:
                lost.append(line["step"])
    return {
        name: Series(tuple(steps), tuple(values), len(lost))
        for name, (steps, values, lost) in found.items()
    }


def _seconds(lines: Sequence[Mapping[str, Any]]) -> float | None:
    gaps = [max(0.0, b["time"] - a["time"]) for a, b in itertools.pairwise(lines)]
    if not gaps:
        return None
    most = max(_SHORT, _PAUSE * statistics.median(gaps))
    return sum(gap for gap in gaps if gap <= most)


def _machine(lines: Sequence[Mapping[str, Any]], name: str) -> Iterator[float]:
    for line in lines:
        value = _mapping(line.get("machine")).get(name)
        if value is not None and _is_number(value):
            yield float(value)


def _median(values: Iterator[float]) -> float | None:
    found = list(values)
    return statistics.median(found) if found else None


def _share(
    waited: float, seconds: float | None, lines: Sequence[Mapping[str, Any]]
) -> float | None:
    known = any(True for _ in _machine(lines, "data_wait_seconds"))
    return min(1.0, waited / seconds) if seconds and known else None


def _result(path: str, there: Sequence[str], notes: list[str]) -> dict[str, Any] | None:
    if "result.json" not in there:
        notes.append(
            "accuracies are not measured yet; `sslkit evaluate --workdir "
            f"{hide(path)}` does it"
        )
        return None
    found = _json(path, "result.json")
    rows, health = found.get("rows"), found.get("health")
    whole = isinstance(found.get("step"), int) and isinstance(health, Mapping)
    if whole and isinstance(rows, list) and all(map(_is_row, rows)):
        return found
    notes.append(
        f"result.json is damaged: `sslkit evaluate --workdir {hide(path)}` writes it "
        "again"
    )
    return None


def _is_row(row: object) -> bool:
    return (
        isinstance(row, Mapping)
        and isinstance(row.get("protocol"), str)
        and isinstance(row.get("representation"), str)
        and _is_number(row.get("top1"))
    )


def _json(path: str, name: str) -> dict[str, Any]:
    """Returns the object in a file of JSON; empty where there is none."""
    if name not in (names(path) or ()):
        return {}
    try:
        return dict(_mapping(json.loads(text(os.path.join(path, name)))))
    except (ValueError, RecursionError):
        return {}


def _comment(recipe: str) -> str:
    """Returns the comment that a recipe begins with, if it can be found."""
    # Of several recipes, the first says what the run is.
    name = recipe.split(", ")[0]
    if not name or "://" in name:
        return ""
    try:
        lines = find_recipe(name).read_text(encoding="utf-8-sig").splitlines()
    except (UserError, OSError, UnicodeDecodeError):
        return ""
    said = itertools.takewhile(lambda line: line.startswith("#"), lines)
    return "\n".join(line.removeprefix("#").strip() for line in said).strip()


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _is_number(value: object) -> bool:
    return (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and math.isfinite(value)
    )
