"""The content of a page, read before anything is drawn."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Sequence

from sslkit.errors import UserError
from sslkit.evaluate.results import PIXELS, TRAINED, UNTRAINED
from sslkit.page.audits import Audit, read_audit
from sslkit.page.groups import Group, Spread, grouped, of_one_data, over_seeds
from sslkit.page.looking import Look, Options, look
from sslkit.page.record import Record, read_record
from sslkit.page.remarks import Remark, remarks
from sslkit.status import find_runs

__all__ = ["Accuracies", "Content", "Protocol", "Seen", "gather"]

_LISTED = 40
"""The most runs that a page can show."""


@dataclasses.dataclass(frozen=True)
class Accuracies:
    """The accuracies of a group by one protocol; None if not measured."""

    group: Group
    trained: Spread | None
    untrained: Spread | None
    pixels: Spread | None


@dataclasses.dataclass(frozen=True)
class Protocol:
    """The accuracies by one protocol, which can be compared with each other."""

    title: str
    rows: tuple[Accuracies, ...]


@dataclasses.dataclass(frozen=True)
class Seen:
    """What is shown of the encoder of one run, as an example of its group."""

    group: Group
    name: str
    look: Look


@dataclasses.dataclass(frozen=True)
class Content:
    """The content of a page."""

    runs: tuple[Record, ...]
    groups: tuple[Group, ...]
    protocols: tuple[Protocol, ...]
    seen: tuple[Seen, ...]
    audits: tuple[tuple[Group, str, Audit], ...]
    notes: tuple[str, ...]

    def thinned(self, most: int) -> Content:
        """Returns the same content with at most `most` images in each map."""
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
        """Returns all remarks about a group's first run, and problems of the others.

        A remark about another run begins with its name.
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
    how: Options,
    *,
    detail: int = 4,
    say: Callable[[str], None] = print,
) -> Content:
    """Reads runs, and opens the encoders of some.

    Args:
        folders: folders of runs, or folders that hold folders of runs.
        how: what to show of the encoders.
        detail: for how many groups of seeds images are shown, at most; 0 for none.
        say: prints a line for the user.

    Raises:
        UserError: if a folder does not hold a run, or there are too many runs for a
            page.
    """
    there: dict[str, str] = {}
    for folder in folders:
        for path in find_runs(folder):
            there.setdefault(os.path.realpath(path), path)
    paths = list(there.values())
    if len(paths) > _LISTED:
        raise UserError(
            f"there are {len(paths)} runs, but a page shows at most {_LISTED}. Name "
            "fewer of them; `sslkit compare` makes a table of all."
        )
    runs = tuple(read_record(path) for path in paths)
    groups = tuple(grouped(runs))
    notes = []
    if not of_one_data(runs):
        notes.append(
            "These runs were trained on different data, so their accuracies and losses "
            "cannot be compared."
        )
    notes += [
        f"{group.title} has several runs of seed {', '.join(twice)}, so what follows a "
        "± is not only what the seed changes."
        for group in groups
        if (twice := group.repeated)
    ]
    seen = []
    able = [group for group in groups if group.first.has_checkpoint]
    for group in able[:detail]:
        say(f"reading {group.first.path}")
        try:
            found = look(group.first, how)
        except UserError as error:
            notes.append(f"There are no images of {group.first.name}: {error}")
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
