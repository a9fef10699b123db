"""Reads the files of one run without TensorFlow, even if some are damaged."""

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
from sslkit.evaluate.results import PROBED
from sslkit.evaluation import numbers_of
from sslkit.secrets import hide
from sslkit.status import RunStatus, read_lines, read_status
from sslkit.status.files import names, text

_PAUSE = 20
"""If the time between two lines is so many times as long as usual, the run was stopped
in between."""
_SHORT = 60.0
"""Seconds; a shorter time between two lines is never counted as a stop."""


@dataclasses.dataclass(frozen=True)
class Series:
    """The values of one metric over the run."""

    steps: tuple[int, ...]
    """Updates done, in rising order."""
    values: tuple[float, ...]
    """Finite values."""
    lost: int = 0
    """How many values were not finite; they are left out."""


@dataclasses.dataclass(frozen=True)
class Record:
    """The content of a run's folder, without the weights."""

    path: str
    status: RunStatus
    config: str
    """The resolved configuration; empty if there is none."""
    settings: Mapping[str, str]
    """Binding -> value, both as text; empty if not known."""
    series: Mapping[str, Series]
    """Metric -> its values over the run."""
    machine: Mapping[str, Any]
    """The facts about the machine in the last report."""
    seconds: float | None
    """Time between the first and the last report, without the time of stops."""
    speed: float | None
    """Views per second: the median of the reports."""
    waited: float | None
    """Share of `seconds` that was spent waiting for batches."""
    result: Mapping[str, Any] | None
    """The latest evaluation, as `result.json` holds it: the rows with an accuracy, and
    the finite numbers of health."""
    facts: Mapping[str, str]
    """Versions, devices, commit; empty for a run without `facts.json`."""
    data: Mapping[str, Any]
    """The data it was trained on: `name`, `size`, `classes`; empty if not known."""
    probed: int | None
    """How many test images kNN scores in training; None if not known."""
    comment: str
    """The comment at the start of the recipe; empty if the recipe was not found."""
    has_checkpoint: bool
    notes: tuple[str, ...]
    """Lines about what is missing or damaged."""

    @property
    def name(self) -> str:
        """The name of the folder."""
        return hide(os.path.basename(os.path.abspath(self.path)) or self.path)

    @property
    def seed(self) -> str:
        """The run's seed, as text."""
        return self.settings.get("train.seed", "0")

    @property
    def recipe(self) -> str:
        """The name of the recipe, as given; empty if not known."""
        first = self.config.partition("\n")[0]
        return first.removeprefix("# Resolved from ").rstrip(".") if first else ""

    @property
    def alarms(self) -> Mapping[str, str]:
        """Problems that the last health metrics and the evaluation show, as text."""
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
        UserError: if it does not hold a run.
    """
    status = read_status(path)
    there = names(path)
    if there is None or not (status.ok or "damaged" in status.state):
        raise UserError(
            f"cannot make a report of {hide(path)}: {status.state}. Name the workdir "
            "of a run, or a folder with several of them."
        )
    notes = [] if status.ok else [status.state.partition("; ")[2]]
    config = text(os.path.join(path, "config.gin")) if "config.gin" in there else ""
    settings = _settings(config, notes)
    lines = read_lines(path)[0] if "metrics.jsonl" in there else []
    if not lines:
        notes.append("there are no metrics: no curves are drawn")
    seconds = _seconds(lines)
    checkpoints = names(os.path.join(path, "checkpoints")) or []
    saved = any(name.endswith(".index") for name in checkpoints)
    if not saved:
        notes.append("there is no checkpoint: no images are shown")
    data, result = _json(path, "data.json"), _result(path, there, status.steps, notes)
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
        result=result,
        facts={
            name: hide(str(value)) for name, value in _json(path, "facts.json").items()
        },
        data=_mapping(data.get("train")),
        probed=_probed(_mapping(data.get("test")), result),
        comment="",
        has_checkpoint=saved,
        notes=tuple(notes),
    )
    return dataclasses.replace(found, comment=_comment(found.recipe))


def _settings(config: str, notes: list[str]) -> dict[str, str]:
    try:
        return {b.key: hide(_written(b.value)) for b in read_text(config, "config.gin")}
    except UserError:
        notes.append("config.gin is damaged: the settings are not shown")
        return {}


def _written(value: Any) -> str:
    return value if isinstance(value, str) else repr(value)


def _series(lines: Sequence[Mapping[str, Any]]) -> dict[str, Series]:
    """Returns the values of each metric; of several at one step, the last."""
    found: dict[str, dict[int, float | None]] = {}
    for line in lines:
        for name, value in line.items():
            if name in ("step", "time", "machine"):
                continue
            values = found.setdefault(name, {})
            if value is None or _is_number(value):
                values[line["step"]] = value
    return {name: _one_series(values) for name, values in found.items()}


def _one_series(values: Mapping[int, float | None]) -> Series:
    known = sorted(
        (step, float(one)) for step, one in values.items() if one is not None
    )
    return Series(
        tuple(step for step, _ in known),
        tuple(value for _, value in known),
        len(values) - len(known),
    )


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


def _result(
    path: str, there: Sequence[str], steps: int | None, notes: list[str]
) -> dict[str, Any] | None:
    """Returns the evaluation, with the rows whose accuracy the page can show."""
    if "result.json" not in there:
        notes.append(
            "accuracies are not measured yet; `sslkit evaluate --workdir "
            f"{hide(path)}` measures them"
        )
        return None
    found = _json(path, "result.json")
    step, rows, health = found.get("step"), found.get("rows"), found.get("health")
    whole = isinstance(step, int) and isinstance(health, Mapping)
    if not (whole and isinstance(rows, list) and all(map(_is_row, rows))):
        notes.append(
            f"result.json is damaged: `sslkit evaluate --workdir {hide(path)}` writes "
            "it again"
        )
        return None
    if isinstance(step, int) and steps is not None and step < steps:
        notes.append(
            f"accuracies are of step {step:,}, and not of the end at {steps:,}; "
            f"`sslkit evaluate --workdir {hide(path)}` measures the latest checkpoint"
        )
    notes += (hide(_not_shown(row)) for row in rows if not _is_number(row.get("top1")))
    return {
        **found,
        "rows": [row for row in rows if _is_number(row.get("top1"))],
        "health": {who: _finite(one) for who, one in (health or {}).items()},
    }


def _not_shown(row: Mapping[str, Any]) -> str:
    """Returns a line about a row that has no accuracy, or one that is not finite."""
    numbers = ", ".join(f"{k} {v:.4g}" for k, v in numbers_of(row).items())
    return (
        f"{row['protocol']}, {row['representation']}, is not in the tables: {numbers}"
    )


def _finite(health: object) -> dict[str, Any]:
    return {
        name: value for name, value in _mapping(health).items() if _is_number(value)
    }


def _probed(test: Mapping[str, Any], result: Mapping[str, Any] | None) -> int | None:
    """Returns how many images kNN scores in training, from the size of the test split.

    A run that did not write down its test split has the number in its evaluation.
    """
    sizes = [
        test.get("size"),
        *(row.get("n_test") for row in (result or {}).get("rows", ())),
    ]
    known = [size for size in sizes if isinstance(size, int) and size > 0]
    return min(PROBED, known[0]) if known else None


def _is_row(row: object) -> bool:
    if not isinstance(row, Mapping):
        return False
    names = ("protocol", "representation")
    try:
        named = all(isinstance(row.get(name), str) for name in names)
        return named and bool(numbers_of(row))
    except (TypeError, OverflowError):
        return False


def _json(path: str, name: str) -> dict[str, Any]:
    """Returns the JSON object in a file; empty if it cannot be read."""
    if name not in (names(path) or ()):
        return {}
    try:
        return dict(_mapping(json.loads(text(os.path.join(path, name)))))
    except (ValueError, RecursionError):
        return {}


def _comment(recipe: str) -> str:
    """Returns the comment at the start of a recipe; empty if it is not found."""
    # Of several recipes, the first one describes the run.
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
