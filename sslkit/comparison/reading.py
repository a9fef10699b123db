"""Reads a run's configuration, data and results from its folder."""

from __future__ import annotations

import ast
import dataclasses
import json
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sslkit import config
from sslkit.config.reading import read_text
from sslkit.errors import UserError
from sslkit.evaluate.results import SHARES, TRAINED
from sslkit.evaluation import numbers_of
from sslkit.status import find_runs, read_status
from sslkit.status.files import names, text

SEED = "train.seed"
RANK = "effective rank"
INITIALIZE = "train.initialize"
_WHO = "representation"


@dataclasses.dataclass(frozen=True)
class RunRecord:
    """One run, as its folder shows it."""

    path: str
    seed: str
    """The seed, as the configuration writes it."""
    bindings: Mapping[str, str]
    """Key -> value as gin writes it, for all its bindings except the seed."""
    defaults: Mapping[str, str]
    """Key -> default, for what it does not bind, as far as the defaults are known."""
    data: Mapping[str, Any]
    """The data that it was started on; empty if not known."""
    test_data: Mapping[str, Any]
    """The data that it is measured on; empty if not known."""
    step: int
    """The step of its results; the updates done, if there are no results."""
    steps: int | None
    """Updates of the whole run."""
    state: str
    """Its state, as `sslkit status` shows it."""
    measures: Mapping[str, float]
    """Protocol, protocol and name of its number, `effective rank` or name of a metric
    -> number."""
    protocols: frozenset[str]
    """The measures that are accuracies, in [0, 1]."""
    baselines: Mapping[str, Mapping[str, float]]
    """Baseline without training (such as `raw pixels`) -> measure -> number."""
    tested: frozenset[int]
    """How many test images its results are of; empty if not known."""
    notes: tuple[str, ...]
    """Remarks that matter for reading its numbers."""

    def value(self, key: str) -> str:
        """Returns the value of a key in this run; `not set` if it is not known."""
        return self.bindings.get(key, self.defaults.get(key, "not set"))


def runs_in(folders: Iterable[str], *, stage: str | None = None) -> list[str]:
    """Returns the folders of the runs in some folders, each once.

    Args:
        folders: folders of runs, of recipes with stages, or of sweeps.
        stage: the stage to take, for recipes with stages.

    Raises:
        UserError: if a folder does not hold a run, or if the runs are of several stages
            and none is chosen.
    """
    found: dict[str, str] = {}
    stages: dict[str, None] = {}
    for folder in folders:
        for path, name in _runs(folder):
            stages.setdefault(name)
            if stage is None or not name or name == stage:
                found.setdefault(os.path.realpath(path), path)
    if stage is not None and stage not in stages:
        there = ", ".join(filter(None, stages))
        has = f"Stages: {there}." if there else "These runs have no stages."
        raise UserError(f"--stage is '{stage}', but there is no run of it. {has}")
    several = [name for name in stages if name]
    if stage is None and len(several) > 1:
        raise UserError(
            f"these runs are of several stages. Choose one with --stage: "
            f"{', '.join(several)}."
        )
    return list(found.values())


def _runs(folder: str) -> list[tuple[str, str]]:
    """Returns (folder, stage) for each run in a folder; the stage may be empty."""
    there = names(folder)
    if there is None:
        raise UserError(
            f"the folder {folder} does not exist. Name the folder of a run."
        )
    found = [(path, "") for path in find_runs(folder)]
    if found != [(folder, "")] or _is_run(folder):
        return found
    below = [os.path.join(folder, name) for name in there]
    for path in below:
        if names(path) is not None:
            stages = [run for run in find_runs(path) if run != path]
            found += [(run, os.path.basename(run)) for run in stages]
    if len(found) == 1:
        raise UserError(
            f"{folder} does not hold a run: there is no config.gin in it or in its "
            "folders. Name the --workdir of `sslkit train` or `sslkit sweep`."
        )
    return found[1:]


def _is_run(folder: str) -> bool:
    return "config.gin" in (names(folder) or ())


def read_run(path: str, *, metrics: Sequence[str] = ()) -> RunRecord:
    """Reads a run.

    Args:
        path: its folder.
        metrics: names of metrics in `metrics.jsonl` whose last values are measures,
            too.

    Raises:
        UserError: if the folder is not a run's, or its configuration is damaged.
    """
    there = names(path) or ()
    if "config.gin" not in there:
        raise UserError(
            f"{path} is not a workdir of a run: it has no config.gin. Make one with: "
            f"sslkit train --gin RECIPE --workdir {path}"
        )
    bindings = _bindings(path)
    status = read_status(path)
    notes = [] if status.ok else [status.state]
    step = status.step
    result = _result(path, notes) if "result.json" in there else {}
    rows: Sequence[Mapping[str, Any]] = result.get("rows", ())
    measured = _measured(rows, notes)
    measures = measured.get(TRAINED, {}) | _rank(result, notes)
    if "result.json" not in there:
        notes.append(f"no results yet ({status.state}, {_place(step, status.steps)})")
    elif result:
        step = result["step"]
        if status.steps is not None and step < status.steps:
            notes.append(
                f"evaluated at {_place(step, status.steps)}, not at its end "
                f"({status.state})"
            )
    for name in metrics:
        value = status.metrics.get(name)
        if value is None and name in status.metrics:
            notes.append(f"its last {name} is not finite and is left out")
        elif value is None:
            known = ", ".join(status.metrics) or "none"
            notes.append(f"it has no metric '{name}'; its metrics: {known}")
        else:
            measures[name] = float(value)
    data = _json(os.path.join(path, "data.json"))
    return RunRecord(
        path=path,
        seed=bindings.pop(SEED, "0"),
        bindings=bindings,
        defaults=_defaults(path),
        data=_mapping(data.get("train")),
        test_data=_mapping(data.get("test")),
        step=step,
        steps=status.steps,
        state=status.state,
        measures=measures,
        protocols=frozenset(
            row["protocol"] for row in rows if _compared(row)[0] == row["protocol"]
        ),
        baselines={who: own for who, own in measured.items() if who != TRAINED},
        tested=_tested(rows),
        notes=tuple(notes),
    )


def _place(step: int, steps: int | None) -> str:
    return f"step {step}" + ("" if steps is None else f" of {steps}")


def _bindings(path: str) -> dict[str, str]:
    file = os.path.join(path, "config.gin")
    return {binding.key: repr(binding.value) for binding in read_text(text(file), file)}


def _defaults(path: str) -> dict[str, str]:
    """Returns key -> default for what the run's configuration does not bind.

    It is empty if a plugin is not installed any more, or has other keywords now.
    """
    if "://" in path:
        return {}
    try:
        resolution = config.read([os.path.abspath(os.path.join(path, "config.gin"))])
    except UserError:
        return {}
    found = {}
    for target, signature in resolution.signatures.items():
        for name, parameter in signature.parameters.items():
            if parameter.default is not None:
                try:
                    value = repr(ast.literal_eval(parameter.default))
                except (ValueError, SyntaxError):
                    value = parameter.default
                found[f"{target}.{name}"] = value
    return found


def start_of(path: str) -> dict[str, str] | None:
    """Returns the bindings of the run that another starts from; None if not known.

    Args:
        path: the value of `train.initialize`, as gin writes it.
    """
    try:
        folder = ast.literal_eval(path)
        bindings = _bindings(folder) if _is_run(folder) else None
    except (UserError, ValueError, SyntaxError, TypeError):
        return None
    if bindings is not None:
        bindings.pop(SEED, None)
    return bindings


def _json(path: str) -> dict[str, Any]:
    """Returns the JSON object in a file; empty if it cannot be read."""
    try:
        found = json.loads(text(path))
    except (UserError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _result(path: str, notes: list[str]) -> dict[str, Any]:
    """Returns the content of `result.json`; empty, with a note, if it is damaged."""
    found = _json(os.path.join(path, "result.json"))
    rows, step = found.get("rows"), found.get("step")
    if isinstance(step, int) and isinstance(rows, list) and all(map(_is_row, rows)):
        return found
    notes.append(
        f"result.json is damaged: `sslkit evaluate --workdir {path}` writes it again"
    )
    return {}


def _is_row(row: object) -> bool:
    if not isinstance(row, Mapping):
        return False
    try:
        named = all(isinstance(row[name], str) for name in ("protocol", _WHO))
        return named and bool(numbers_of(row))
    except (KeyError, TypeError, OverflowError):
        return False


def _tested(rows: Sequence[Mapping[str, Any]]) -> frozenset[int]:
    found = [row.get("n_test") for row in rows if row[_WHO] == TRAINED]
    return frozenset(count for count in found if isinstance(count, int))


def _measured(
    rows: Sequence[Mapping[str, Any]], notes: list[str]
) -> dict[str, dict[str, float]]:
    """Returns representation -> measure -> the number that encoders are compared by.

    Numbers that are not finite are left out, with a note.
    """
    found: dict[str, dict[str, float]] = {}
    for row in rows:
        measure, value = _compared(row)
        if math.isfinite(value):
            found.setdefault(row[_WHO], {})[measure] = value
        else:
            notes.append(f"{measure}, {row[_WHO]}, is not finite and is left out")
    return found


def _compared(row: Mapping[str, Any]) -> tuple[str, float]:
    """Returns the first number of a row, which runs are compared by, and its name.

    An accuracy has the name of its protocol, and any other number both names.
    """
    name, value = next(iter(numbers_of(row).items()))
    protocol: str = row["protocol"]
    return (protocol if name in SHARES else f"{protocol} {name}"), value


def _rank(result: Mapping[str, Any], notes: list[str]) -> dict[str, float]:
    health = _mapping(_mapping(result.get("health")).get(TRAINED))
    value = health.get("effective_rank")
    if not isinstance(value, int | float):
        return {}
    if not math.isfinite(value):
        notes.append(f"{RANK} is not finite and is left out")
        return {}
    return {RANK: float(value)}
