"""Groups of runs that differ only in the seed, and how groups differ."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Mapping, Sequence

from sslkit.page.record import Record, Series

SEED = "train.seed"
"""The setting in which the runs of a group differ."""
_UNBOUND = "not set"
_HUES = 8
"""The number of colours for groups."""


@dataclasses.dataclass(frozen=True)
class Group:
    """Runs that differ only in the seed."""

    title: str
    runs: tuple[Record, ...]
    hue: int
    """The number of its colour, from 0."""

    @property
    def first(self) -> Record:
        """The run whose images are shown for the group: the first with a checkpoint."""
        return next((run for run in self.runs if run.has_checkpoint), self.runs[0])

    @property
    def repeated(self) -> list[str]:
        """The seeds that several of its runs have."""
        seeds = [run.seed for run in self.runs]
        return sorted({seed for seed in seeds if seeds.count(seed) > 1})


@dataclasses.dataclass(frozen=True)
class Spread:
    """The mean of a number over the seeds of a group."""

    mean: float
    deviation: float | None
    """Standard deviation over seeds (with n - 1); None for a single run."""
    count: int
    """The number of runs that have it."""


def grouped(runs: Sequence[Record]) -> list[Group]:
    """Returns the groups, in the order of their first runs.

    Runs are in one group if they have the same data and the same configuration except
    for `train.seed`. A run whose configuration is not known is a group of its own.
    """
    members: dict[object, list[Record]] = {}
    for number, run in enumerate(runs):
        known = sorted(item for item in run.settings.items() if item[0] != SEED)
        data = repr(sorted(run.data.items(), key=repr))
        members.setdefault((tuple(known), data) if known else number, []).append(run)
    titles = _titles([tuple(group) for group in members.values()])
    return [
        Group(title, tuple(group), number % _HUES)
        for number, (title, group) in enumerate(
            zip(titles, members.values(), strict=True)
        )
    ]


def differing(runs: Sequence[Record]) -> dict[str, list[str]]:
    """Returns binding -> its value in each run, for bindings that differ."""
    keys = sorted({key for run in runs for key in run.settings})
    rows = {key: [run.settings.get(key, _UNBOUND) for run in runs] for key in keys}
    return {key: row for key, row in rows.items() if len(set(row)) > 1}


def of_one_data(runs: Sequence[Record]) -> bool:
    """Returns whether all runs were trained on the same data, as far as is known."""
    known = [
        tuple(sorted((k, repr(v)) for k, v in run.data.items()))
        for run in runs
        if run.data
    ]
    return len(set(known)) < 2


def over_seeds(values: Sequence[float]) -> Spread | None:
    """Returns mean and standard deviation; None if there are no values."""
    if not values:
        return None
    deviation = statistics.stdev(values) if len(values) > 1 else None
    return Spread(statistics.fmean(values), deviation, len(values))


def course(group: Group, metric: str) -> list[tuple[int, float, float, float]]:
    """Returns (step, mean, lowest, highest) of a metric over the seeds of a group.

    Only steps at which all runs with this metric have a value are returned, so that a
    mean is always over the same runs.
    """
    found = [run.series[metric] for run in group.runs if metric in run.series]
    tables = [_table(one) for one in found if one.values]
    if not tables:
        return []
    steps = sorted(set.intersection(*(set(table) for table in tables)))
    rows = []
    for step in steps:
        values = [table[step] for table in tables]
        rows.append((step, statistics.fmean(values), min(values), max(values)))
    return rows


def _table(series: Series) -> Mapping[int, float]:
    return dict(zip(series.steps, series.values, strict=True))


def _titles(groups: Sequence[tuple[Record, ...]]) -> list[str]:
    """Names groups by their folders, without the part that names the seed."""
    found = []
    for group in groups:
        names = [run.name for run in group]
        shared = _shared(names) if len(names) > 1 else names[0]
        several = "seeds" if len({run.seed for run in group}) == len(group) else "runs"
        found.append(
            shared if len(group) == 1 else f"{shared} ({len(group)} {several})"
        )
    taken = {title for title in found if found.count(title) > 1}
    return [
        f"{title} ({group[0].path})" if title in taken else title
        for title, group in zip(found, groups, strict=True)
    ]


def _shared(names: Sequence[str]) -> str:
    """Returns the common beginning of all names, without an ending such as `-seed`."""
    length = next(
        (
            place
            for place, letters in enumerate(zip(*names, strict=False))
            if len(set(letters)) > 1
        ),
        min(map(len, names)),
    )
    found = names[0][:length].rstrip("0123456789-_. =")
    for word in ("train.seed", "seed", "s"):
        cut = found.removesuffix(word)
        if cut != found and (not cut or cut[-1] in "-_. ,"):
            found = cut.rstrip("-_. ,")
            break
    return found or names[0]
