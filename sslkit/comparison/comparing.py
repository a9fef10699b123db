"""Groups runs by configuration, and compares each group with one of them."""

from __future__ import annotations

import dataclasses
import fnmatch
import json
import os
import string
from collections.abc import Mapping, Sequence
from typing import Any

from sslkit.comparison.reading import (
    INITIALIZE,
    SEED,
    RunRecord,
    read_run,
    runs_in,
    start_of,
)
from sslkit.comparison.statistics import Difference, Mean, difference, mean_of
from sslkit.config import FREE
from sslkit.errors import UserError

_OF_RESULTS = "evaluate.*"
DATA = "data"
"""The key of the runs' data, if it differs."""


@dataclasses.dataclass(frozen=True)
class Group:
    """Runs of one configuration, which differ only in their seeds."""

    letter: str
    """A, B, C ... in the order of the runs."""
    values: Mapping[str, str]
    """Key -> value as gin writes it, for the settings in which groups differ."""
    runs: tuple[RunRecord, ...]

    @property
    def label(self) -> str:
        """A few words for tables, e.g. `topk = 5`."""
        words = [f"{key.rpartition('.')[2]} = {v}" for key, v in self.values.items()]
        text = ", ".join(words) if len(words) <= 3 else ""
        return text if text and len(text) <= 60 else os.path.basename(self.runs[0].path)

    def of(self, measure: str) -> dict[str, float]:
        """Returns seed -> value; the mean, if a seed was run more than once."""
        found: dict[str, list[float]] = {}
        for run in self.runs:
            if measure in run.measures:
                found.setdefault(run.seed, []).append(run.measures[measure])
        return {seed: sum(values) / len(values) for seed, values in found.items()}


@dataclasses.dataclass(frozen=True)
class Comparison:
    """A comparison of runs; a notebook shows it as tables."""

    groups: tuple[Group, ...]
    against: Group
    """The group that the others are compared with."""
    measures: tuple[str, ...]
    protocols: frozenset[str]
    """Those of the measures that are accuracies, shares in [0, 1]."""
    notes: tuple[str, ...]
    """What can and what cannot be concluded, and problems of single runs."""

    def means(self, group: Group) -> dict[str, Mean]:
        """Returns each measure of a group over its seeds."""
        found = {name: list(group.of(name).values()) for name in self.measures}
        return {name: mean_of(values) for name, values in found.items() if values}

    def differences(self, group: Group) -> dict[str, Difference]:
        """Returns each measure's difference: this group less the group `against`."""
        found = {
            name: difference(group.of(name), self.against.of(name))
            for name in self.measures
        }
        return {name: one for name, one in found.items() if one is not None}

    def to_json(self) -> dict[str, Any]:
        """Returns the whole comparison as plain values; accuracies are in [0, 1]."""
        return {
            "against": self.against.letter,
            "measures": list(self.measures),
            "groups": [
                {
                    "group": group.letter,
                    "label": group.label,
                    "values": dict(group.values),
                    "runs": [
                        {
                            "path": run.path,
                            "seed": run.seed,
                            "step": run.step,
                            "steps": run.steps,
                            "state": run.state,
                            "measures": dict(run.measures),
                            "baselines": {k: dict(v) for k, v in run.baselines.items()},
                            "test_images": sorted(run.tested),
                        }
                        for run in group.runs
                    ],
                    "means": {
                        name: dataclasses.asdict(one)
                        for name, one in self.means(group).items()
                    },
                    "differences": {}
                    if group is self.against
                    else {
                        name: dataclasses.asdict(one)
                        for name, one in self.differences(group).items()
                    },
                }
                for group in self.groups
            ],
            "notes": list(self.notes),
        }

    def rows(self) -> list[dict[str, Any]]:
        """Returns one row per run, for a CSV file or a data frame."""
        return [
            {
                "group": group.letter,
                "path": run.path,
                **group.values,
                SEED: run.seed,
                "step": run.step,
                **{name: run.measures.get(name) for name in self.measures},
            }
            for group in self.groups
            for run in group.runs
        ]

    def __str__(self) -> str:
        """Returns the tables as text."""
        from sslkit.comparison.showing import as_text

        return as_text(self)

    def _repr_html_(self) -> str:
        from sslkit.comparison.showing import as_html

        return as_html(self)


def compare(
    folders: Sequence[str],
    *,
    stage: str | None = None,
    against: str | None = None,
    metrics: Sequence[str] = (),
) -> Comparison:
    """Compares runs.

    Args:
        folders: the folders of runs or sweeps.
        stage: the stage to compare, for recipes with stages.
        against: the letter of the group that others are compared with; None for the
            first.
        metrics: names of metrics in `metrics.jsonl` whose last values are compared,
            too.

    Raises:
        UserError: if there are fewer than two runs, a folder does not hold a run, or no
            group has that letter.
    """
    runs = [read_run(path, metrics=metrics) for path in runs_in(folders, stage=stage)]
    if len(runs) < 2:
        raise UserError(
            f"{runs[0].path} is a single run; name two or more to compare. To see its "
            f"progress: sslkit status {runs[0].path}"
        )
    groups = _grouped(runs)
    letters = [group.letter for group in groups]
    if against is not None and against.upper() not in letters:
        raise UserError(
            f"--against is '{against}'; it must be one of the groups "
            f"{', '.join(letters)}."
        )
    chosen = groups[letters.index(against.upper()) if against is not None else 0]
    measures = tuple(dict.fromkeys(name for run in runs for name in run.measures))
    return Comparison(
        groups=tuple(groups),
        against=chosen,
        measures=measures,
        protocols=frozenset().union(*(run.protocols for run in runs)),
        notes=tuple(_notes(runs, groups, chosen, measures)),
    )


def _matters(key: str) -> bool:
    """Returns whether a binding changes what a run computes or how it is evaluated."""
    if fnmatch.fnmatchcase(key, _OF_RESULTS):
        return True
    return not any(fnmatch.fnmatchcase(key, pattern) for pattern in FREE)


def _values(runs: Sequence[RunRecord]) -> list[dict[str, str]]:
    """Returns, for each run, the values in which runs differ and that matter."""
    keys = sorted({key for run in runs for key in run.bindings if _matters(key)})
    each = [{key: run.value(key) for key in keys} for run in runs]
    _same_start(each)
    datas = [_known(run.data) for run in runs]
    for values, data in zip(each, datas, strict=True):
        values[DATA] = data
    differing = [
        key for key in (*keys, DATA) if len({values[key] for values in each}) > 1
    ]
    return [{key: values[key] for key in differing} for values in each]


def _known(data: Mapping[str, Any]) -> str:
    """Returns a run's data as text, without its name, which changes if it is moved."""
    return ", ".join(f"{k} {json.dumps(v)}" for k, v in data.items() if k != "name")


def _same_start(each: Sequence[dict[str, str]]) -> None:
    """Gives the same name to starts that are runs of one configuration.

    Thereby the linear evaluations of several seeds are in one group, although each
    starts from another pretraining run.
    """
    first: dict[str, str] = {}
    for values in each:
        start = values.get(INITIALIZE)
        before = start_of(start) if start is not None else None
        if start is not None and before is not None:
            like = json.dumps({k: v for k, v in before.items() if _matters(k)})
            values[INITIALIZE] = first.setdefault(like, start)


def _grouped(runs: Sequence[RunRecord]) -> list[Group]:
    found: dict[str, tuple[dict[str, str], list[RunRecord]]] = {}
    for run, values in zip(runs, _values(runs), strict=True):
        found.setdefault(json.dumps(values), (values, []))[1].append(run)
    return [
        Group(_letter(place), values, tuple(own))
        for place, (values, own) in enumerate(found.values())
    ]


def _letter(place: int) -> str:
    letters = string.ascii_uppercase
    above, own = divmod(place, len(letters))
    return (_letter(above - 1) if above else "") + letters[own]


def _notes(
    runs: Sequence[RunRecord],
    groups: Sequence[Group],
    against: Group,
    measures: Sequence[str],
) -> list[str]:
    from sslkit.comparison.concluding import conclusions

    notes = [f"{run.path}: {note}" for run in runs for note in run.notes]
    if any(DATA in group.values for group in groups):
        notes.append(
            "the runs have different data, so their accuracies cannot be compared: "
            + "; ".join(
                f"{group.letter}: {group.values[DATA] or 'not known'}"
                for group in groups
            )
        )
    tests = {_known(run.test_data): run.path for run in runs if run.test_data}
    if len(tests) > 1 and not any(DATA in group.values for group in groups):
        where = (f"{text} (e.g. {path})" for text, path in tests.items())
        notes.append(
            "the runs were measured on different test data, so their accuracies cannot "
            f"be compared: {'; '.join(where)}"
        )
    keys = {key for run in runs for key in run.bindings if not _matters(key)}
    idle = sorted(key for key in keys if len({run.value(key) for run in runs}) > 1)
    if idle:
        notes.append(
            f"they also differ in settings that do not change results: "
            f"{', '.join(idle)}"
        )
    return notes + conclusions(groups, against, measures)
