"""Reading the state and progress of a run from the files in its folder."""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
import os
import re
import statistics
import time as clocks
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from sslkit.errors import UserError
from sslkit.evaluate.alarms import alarms
from sslkit.status import files
from sslkit.status.alive import is_alive

_INDEX = re.compile(r"step_(\d+)\.index", re.ASCII)
_CONFIG = "config.gin"
_MARKS = (_CONFIG, "metrics.jsonl", "checkpoints", "data.json")
"""The files that a run writes first; a folder without them is not a run's."""
_FIELDS = ("step", "time", "machine")
_HEALTH = "health"
_LOOKED_AT = 20
"""How many of the last lines of metrics the rate is computed from."""
_WAITING = 0.1
"""From this share of the time on, waiting for the host is reported."""


@dataclasses.dataclass(frozen=True)
class RunStatus:
    """The state and progress of one run."""

    path: str
    state: str
    """`running`, `stopped`, `trained` (not evaluated yet), `finished`, `started` (no
    step done yet), `silent` (not known whether it is running), or what is wrong."""
    ok: bool = True
    """Whether the folder is a run's and its files are not damaged."""
    step: int = 0
    """Updates done."""
    steps: int | None = None
    """Updates of the whole run; None if not known."""
    rate: float | None = None
    """Updates per second, over the last lines of metrics."""
    left: float | None = None
    """Seconds until the last update, if the run is running."""
    seen: float | None = None
    """Seconds since the last line of metrics."""
    metrics: Mapping[str, float | None] = dataclasses.field(default_factory=dict)
    """The last value of each metric; None if that is not finite."""
    machine: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """Speed, memory and device, from the last line of metrics."""
    health: tuple[str, ...] = ()
    """Health numbers and problems that the metrics show, as text."""


def find_runs(folder: str) -> list[str]:
    """Returns the folders of the runs in a folder: itself, or those directly in it.

    The stages of a recipe and the runs of a sweep are directly in a folder. Runs are
    returned in the order in which they began. A folder with no more of a run than, say,
    `checkpoints` is not one if there are runs with a configuration in it.
    """
    there = files.names(folder)
    if there is None or _CONFIG in there:
        return [folder]
    below = [os.path.join(folder, name) for name in there]
    runs = [path for path in below if _is_run(path)]
    if any(mark in there for mark in _MARKS) and not any(
        _CONFIG in (files.names(path) or ()) for path in runs
    ):
        return [folder]
    return sorted(runs, key=_began) or [folder]


def read_status(
    folder: str,
    *,
    alive: Callable[[str], bool | None] = is_alive,
    clock: Callable[[], float] = clocks.time,
) -> RunStatus:
    """Reads the state and progress of a run, even if its files are damaged.

    Args:
        folder: the run's folder.
        alive: returns whether a process is training in a folder; None if not known.
        clock: returns the seconds since 1970.
    """
    try:
        return _read(folder, alive, clock)
    except UserError as error:
        return RunStatus(folder, str(error), ok=False)


def _read(
    folder: str, alive: Callable[[str], bool | None], clock: Callable[[], float]
) -> RunStatus:
    there = files.names(folder)
    if there is None:
        return RunStatus(folder, "the folder does not exist", ok=False)
    if not any(mark in there for mark in _MARKS):
        what = "it does not hold a run" if there else "it is empty"
        return RunStatus(folder, what, ok=False)
    damage = []
    lines, bad = read_lines(folder) if "metrics.jsonl" in there else ([], 0)
    if bad:
        damage.append(f"{bad} damaged line{'s' * (bad > 1)} in metrics.jsonl")
    steps = None
    if "data.json" in there:
        steps = _steps(os.path.join(folder, "data.json"))
        if steps is None:
            damage.append("data.json is damaged")
    saved = _saved(folder) if "checkpoints" in there else 0
    step = max([saved, *(line["step"] for line in lines)])
    running = alive(folder)
    rate = _rate(lines)
    known = steps is not None and rate is not None
    left = (steps - step) / rate if known and running else None
    through = steps is not None and step >= steps
    state = _state(running, through, "result.json" in there, bool(step))
    return RunStatus(
        path=folder,
        state="; ".join([state, *damage]),
        ok=not damage,
        step=step,
        steps=steps,
        rate=rate,
        left=left,
        seen=clock() - lines[-1]["time"] if lines else None,
        metrics=_latest(lines),
        machine=_mapping(lines[-1].get("machine")) if lines else {},
        health=tuple(_health(lines)),
    )


def _state(running: bool | None, through: bool, measured: bool, begun: bool) -> str:
    if running:
        return "running"
    if through:
        return "finished" if measured else "trained"
    if running is None:
        return "silent"
    return "stopped" if begun else "started"


def read_lines(folder: str) -> tuple[list[dict[str, Any]], int]:
    """Returns the lines of metrics of a run, and how many lines are damaged.

    A last line without a line end is left out: the run is writing it now, or was killed
    while it wrote it.

    Raises:
        UserError: if the file cannot be read.
    """
    found, bad = [], 0
    text = files.text(os.path.join(folder, "metrics.jsonl"))
    whole, _, _ = text.rpartition("\n")
    for written in whole.split("\n") if whole else ():
        line = _parsed(written)
        if line is None or not _is_number(line.get("step"), line.get("time")):
            bad += 1
        else:
            found.append({**line, "step": int(line["step"])})
    return found, bad


def _parsed(text: str) -> dict[str, Any] | None:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _is_number(*values: object) -> bool:
    return all(
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and math.isfinite(value)
        for value in values
    )


def _steps(path: str) -> int | None:
    found = _parsed(files.text(path)) or {}
    steps = found.get("steps")
    return steps if isinstance(steps, int) and not isinstance(steps, bool) else None


def _saved(folder: str) -> int:
    """Returns the step of the newest checkpoint; 0 if there is none."""
    there = files.names(os.path.join(folder, "checkpoints")) or []
    found = [int(match[1]) for name in there if (match := _INDEX.fullmatch(name))]
    return max(found, default=0)


def _rate(lines: Sequence[Mapping[str, Any]]) -> float | None:
    """Returns updates per second, from the median time between the last lines.

    The median is not changed by one stop or one long evaluation among them.
    """
    recent = lines[-_LOOKED_AT:]
    each = [
        (after["time"] - before["time"]) / (after["step"] - before["step"])
        for before, after in itertools.pairwise(recent)
        if after["step"] > before["step"] and after["time"] > before["time"]
    ]
    return 1 / statistics.median(each) if each else None


def _latest(lines: Sequence[Mapping[str, Any]]) -> dict[str, float | None]:
    """Returns the last value of each metric, as not every line holds all of them."""
    found: dict[str, float | None] = {}
    for line in lines:
        for name, value in line.items():
            if name not in _FIELDS and (value is None or _is_number(value)):
                found[name] = value
    return found


def _health(lines: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    if not lines:
        return
    last = _latest(lines)
    for name, value in last.items():
        if value is None:
            yield f"{name} is not finite"
        elif name.startswith(_HEALTH):
            yield f"{_bare(name)} {value:.3g}"
    told = {_bare(n): v for n, v in last.items() if n.startswith(_HEALTH)}
    yield from alarms(told).values()
    waited = _mapping(lines[-1].get("machine")).get("data_wait_seconds")
    if len(lines) > 1 and _is_number(waited):
        seconds = lines[-1]["time"] - lines[-2]["time"]
        if seconds > 0 and waited / seconds >= _WAITING:
            yield f"waits for data {min(1.0, waited / seconds):.0%} of the time"


def _bare(name: str) -> str:
    return name.removeprefix(_HEALTH).lstrip("/_.")


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _is_run(path: str) -> bool:
    there = files.names(path)
    return there is not None and any(mark in there for mark in _MARKS)


def _began(path: str) -> tuple[float, str]:
    """Returns a key that sorts runs by the time they began, as far as it is known."""
    try:
        lines, _ = read_lines(path)
    except UserError:
        lines = []
    return (lines[0]["time"] if lines else math.inf), path
