"""All that a page says, gathered before any of it is drawn."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

from sslkit.errors import UserError
from sslkit.evaluate.report import PIXELS, TRAINED, UNTRAINED
from sslkit.page.audits import Audit, read_audit
from sslkit.page.groups import Group, Spread, grouped, of_one_data, over_seeds
from sslkit.page.looking import Look, Looking, look
from sslkit.page.record import Record, read_record
from sslkit.page.words import Remark, remarks
from sslkit.status import find_runs

__all__ = ["Accuracies", "Content", "Protocol", "Seen", "gather"]

_LISTED = 40
"""Runs of a page."""


@dataclasses.dataclass(frozen=True)
class Accuracies:
    """The row of a group in one protocol; None where it was not measured."""

    group: Group
    trained: Spread | None
    untrained: Spread | None
    pixels: Spread | None


@dataclasses.dataclass(frozen=True)
class Protocol:
    """Accuracies that compare with each other."""

    title: str
    rows: tuple[Accuracies, ...]


@dataclasses.dataclass(frozen=True)
class Seen:
    """What was seen of one run, which stands for its group."""

    group: Group
    name: str
    look: Look


@dataclasses.dataclass(frozen=True)
class Content:
    """What a page is made of."""

    runs: tuple[Record, ...]
    groups: tuple[Group, ...]
    protocols: tuple[Protocol, ...]
    seen: tuple[Seen, ...]
    audits: tuple[tuple[Group, str, Audit], ...]
    notes: tuple[str, ...]

    def thinned(self, most: int) -> Content:
        """Returns the same with at most so many images in each map."""
        return dataclasses.replace(
            self,
            seen=tuple(
                dataclasses.replace(one, look=one.look.thinned(most))
                for one in self.seen
            ),
        )

    def hue(self, run: Record) -> int:
        """Returns the colour of a run's group."""
        return next(g.hue for g in self.groups if run in g.runs)

    def remarks(self, group: Group) -> list[Remark]:
        """Returns what is said of a group: of its first run, and what is bad of others.

        What is bad is said of each run that it is true of, with its name.
        """
        first = group.first
        found = remarks(first)
        for run in group.runs:
            if run is not first:
                found += [
                    dataclasses.replace(one, text=f"{run.name}: {one.text}")
                    for one in remarks(run)
                    if one.tone == "bad"
                ]
        return sorted(found, key=lambda one: one.tone != "bad")


def gather(
    folders: Sequence[str],
    how: Looking,
    *,
    detail: int = 4,
    say: Callable[[str], None] = print,
) -> Content:
    """Reads runs, and looks at the encoders of some.

    Args:
        folders: of runs, or with runs right in them.
        how: how closely to look.
        detail: groups of seeds whose images are shown, at most; 0 for none.
        say: prints a line for the user.

    Raises:
        UserError: if a folder has no run, or there are too many runs for a page.
    """
    paths = list(dict.fromkeys(run for one in folders for run in find_runs(one)))
    if len(paths) > _LISTED:
        raise UserError(
            f"there are {len(paths)} runs, and a page holds {_LISTED}. Name fewer of "
            "them; a table of all is what `sslkit compare` makes."
        )
    runs = tuple(read_record(path) for path in paths)
    groups = tuple(grouped(runs))
    notes = []
    if not of_one_data(runs):
        notes.append(
            "These runs were trained on different data: their accuracies and losses "
            "do not compare."
        )
    seen = []
    able = [group for group in groups if group.first.has_checkpoint]
    for group in able[:detail]:
        say(f"looking at {group.first.path}")
        try:
            found = look(group.first, how)
        except UserError as error:
            notes.append(
                f"What {group.first.name} does to images is not shown: {error}"
            )
        else:
            seen.append(Seen(group, group.first.name, found))
    if len(able) > detail:
        notes.append(
            f"Images are shown for {min(detail, len(able))} of {len(able)} groups of "
            "runs; --detail shows more."
        )
    audits = [
        (group, run.name, audit)
        for group in groups
        for run in group.runs
        if (audit := read_audit(run.path, group.hue)) is not None
    ]
    return Content(
        runs, groups, _protocols(groups), tuple(seen), tuple(audits), tuple(notes)
    )


def _protocols(groups: Sequence[Group]) -> tuple[Protocol, ...]:
    titles = dict.fromkeys(
        row["protocol"]
        for group in groups
        for run in group.runs
        for row in (run.result or {}).get("rows", ())
    )
    return tuple(
        Protocol(
            title,
            tuple(
                found
                for group in groups
                if (found := _accuracies(group, title)).trained is not None
            ),
        )
        for title in titles
    )


def _accuracies(group: Group, title: str) -> Accuracies:
    def of(name: str) -> Spread | None:
        return over_seeds(
            [
                row["top1"]
                for run in group.runs
                for row in (run.result or {}).get("rows", ())
                if row["protocol"] == title and row["representation"] == name
            ]
        )

    return Accuracies(group, of(TRAINED), of(UNTRAINED), of(PIXELS))
