"""The numbers and texts of a report as Markdown, for an issue or a notebook."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sslkit.page.content import Content
from sslkit.page.groups import Spread
from sslkit.page.rendering import command, compared, percent, ran, timed
from sslkit.secrets import hide

_TONES = {"good": "good", "note": "note", "bad": "**wrong**"}
_HEADS = {"device": "ran on", "speed": "views per second"}
"""Heads of the columns of `ran` that have another name in the table."""


def markdown(content: Content, *, folders: Sequence[str]) -> str:
    """Returns a report without its pictures.

    Args:
        content: the content of the report.
        folders: the folders, as given.
    """
    return "\n".join(_lines(content, folders)) + "\n"


def _lines(content: Content, folders: Sequence[str]) -> Iterator[str]:
    title = f"{len(content.runs)} runs" if content.runs[1:] else content.runs[0].name
    yield f"# Report of {_cell(title)}"
    yield ""
    for note in content.notes:
        yield f"- {hide(note)}"
    for group in content.groups:
        yield f"\n## {_cell(group.title)}\n"
        for remark in content.remarks(group):
            advice = f" Try: {remark.advice}" if remark.advice else ""
            yield f"- {_TONES[remark.tone]}: {remark.text}{advice}"
        for run in group.runs:
            for note in run.notes:
                yield f"- {_cell(run.name)}: {note}"
    yield "\n## Runs\n"
    rows = [ran(run) for run in content.runs]
    heads = [_HEADS.get(name, name) for name in rows[0]]
    yield from _table(heads, [list(row.values()) for row in rows])
    yield f"\n{timed(content)}"
    found = compared(content)
    if found.rows:
        yield "\n## Settings that differ\n"
        yield from _table(
            ["setting", *(name for _, name in found.heads)],
            [[key, *values] for key, values in found.rows.items()],
        )
    for protocol in content.protocols:
        yield f"\n## Top-1 accuracy, {protocol.title}\n"
        yield from _table(
            ["run", "trained encoder", "untrained encoder", "raw pixels"],
            [
                [
                    row.group.title,
                    *map(_accuracy, (row.trained, row.untrained, row.pixels)),
                ]
                for row in protocol.rows
            ],
        )
    for seen in content.seen:
        mistakes = seen.look.mistakes
        if mistakes is not None:
            yield f"\n## {_cell(seen.name)}: confused classes\n"
            yield (
                f"{mistakes.protocol}: {mistakes.wrong} of {mistakes.scored:,} images "
                f"of {_cell(seen.look.split)} are wrong.\n"
            )
            yield from _table(
                ["class", "taken for", "times", "the other way round"],
                [[p.one, p.other, p.there, p.back] for p in mistakes.pairs],
            )
    yield f"\nWritten by `{command(folders)} --format md`."


def _accuracy(spread: Spread | None) -> str:
    return "not measured" if spread is None else percent(spread)


def _table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> Iterator[str]:
    yield _row(head)
    yield _row(["---"] * len(head))
    yield from map(_row, rows)


def _row(cells: Sequence[object]) -> str:
    return f"| {' | '.join(map(_cell, cells))} |"


def _cell(value: object) -> str:
    """Returns the text of a cell, with the signs escaped that are markup."""
    text = " ".join(hide(str(value)).split())
    for sign in ("\\", "|", "`", "*", "_", "<", "[", "#"):
        text = text.replace(sign, f"\\{sign}")
    return text
