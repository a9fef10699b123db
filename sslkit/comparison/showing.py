"""Shows a comparison as tables, in a terminal, a notebook or a CSV file."""

from __future__ import annotations

import csv
import html
import io
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from sslkit.comparison.statistics import Difference, Mean
from sslkit.secrets import hide

if TYPE_CHECKING:
    from sslkit.comparison.comparing import Comparison

_MOST = 40
"""How many bindings are shown; `to_json` has all."""
_Rows = list[list[str]]


def tables(found: Comparison) -> list[tuple[str, _Rows]]:
    """Returns (title, rows of cells) for each table; the first row is the head."""
    parts = [("Configurations", _configurations(found))]
    if found.measures:
        title = f"Results{_tested(found)}: mean ± standard deviation over seeds"
        parts.append((title, _results(found)))
        if len(found.groups) > 1:
            title = f"Differences to {found.against.letter}, with intervals of 95%"
            parts.append((title, _differences(found)))
    return [(title, rows) for title, rows in parts if len(rows) > 1]


def _tested(found: Comparison) -> str:
    """Returns on how many test images the results are, as text."""
    counts = {n for group in found.groups for run in group.runs for n in run.tested}
    if not counts:
        return ""
    low, high = min(counts), max(counts)
    return f" on {low:,}{f' to {high:,}' if high > low else ''} test images"


def _configurations(found: Comparison) -> _Rows:
    keys = list(found.groups[0].values)
    rows = [["", *(group.letter for group in found.groups)]]
    for key in keys[:_MOST]:
        rows.append([key, *(_short(group.values[key]) for group in found.groups)])
    if len(keys) > _MOST:
        rows.append(
            [f"and {len(keys) - _MOST} more, see --json", *("" for _ in found.groups)]
        )
    rows.append(["runs", *(str(len(group.runs)) for group in found.groups)])
    seeds = [", ".join(run.seed for run in group.runs) for group in found.groups]
    return [*rows, ["seeds", *(_short(one) for one in seeds)]]


def _results(found: Comparison) -> _Rows:
    heads = [f"{m} %" if m in found.protocols else m for m in found.measures]
    rows = [["", "seeds", *heads]]
    for group in found.groups:
        means = found.means(group)
        most = max((one.n for one in means.values()), default=0)
        cells = [
            _mean(means.get(name), percent=name in found.protocols)
            for name in found.measures
        ]
        rows.append([f"{group.letter}  {group.label}", str(most), *cells])
    return rows + _baselines(found)


def _baselines(found: Comparison) -> _Rows:
    """Returns a row for each baseline without training, over all runs."""
    from sslkit.comparison.statistics import mean_of

    runs = [run for group in found.groups for run in group.runs]
    rows = []
    for who in dict.fromkeys(who for run in runs for who in run.baselines):
        cells = []
        for name in found.measures:
            values = [
                run.baselines[who][name]
                for run in runs
                if name in run.baselines.get(who, {})
            ]
            mean = mean_of(values) if values else None
            cells.append(_mean(mean, percent=name in found.protocols))
        rows.append([f"{who} (all runs)", "", *cells])
    return rows


def _differences(found: Comparison) -> _Rows:
    against = found.against.letter
    rows = [["", "measure", "difference", "interval", "runs", "p", f"than {against}"]]
    for group in found.groups:
        if group is found.against:
            continue
        name = f"{group.letter}  {group.label}"
        for measure, one in found.differences(group).items():
            percent = measure in found.protocols
            rows.append([name, measure, *_difference(one, percent=percent)])
            name = ""
    return rows


def _difference(one: Difference, *, percent: bool) -> list[str]:
    def form(value: float) -> str:
        return f"{100 * value:+.2f} points" if percent else f"{value:+.3g}"

    interval = ""
    if one.interval is not None:
        low, high = (form(end).removesuffix(" points") for end in one.interval)
        interval = f"{low} to {high}"
    kind = ("pair" if one.n == 1 else "pairs") if one.paired else "unpaired"
    return [
        form(one.mean),
        interval,
        f"{one.n} {kind}",
        "" if one.p is None else f"{one.p:.2g}",
        one.verdict,
    ]


def _mean(one: Mean | None, *, percent: bool) -> str:
    if one is None:
        return ""
    scale, form = (100, ".2f") if percent else (1, ".4g")
    spread = "" if one.spread is None else f" ± {format(scale * one.spread, form)}"
    return f"{format(scale * one.mean, form)}{spread}"


def _short(text: str, most: int = 48) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


def rendered(found: Comparison) -> RenderableType:
    """Returns tables and notes for `rich`."""
    parts: list[RenderableType] = []
    for title, rows in tables(found):
        table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
        for place, name in enumerate(rows[0]):
            table.add_column(Text(name), justify="left" if place < 1 else "right")
        for row in rows[1:]:
            table.add_row(*(Text(hide(cell)) for cell in row))
        parts.append(table)
    return Group(*parts, *(Text(f"note: {hide(note)}") for note in found.notes))


def as_text(found: Comparison, width: int = 200) -> str:
    """Returns tables and notes as text."""
    out = io.StringIO()
    Console(file=out, width=width).print(rendered(found))
    return out.getvalue()


def as_html(found: Comparison) -> str:
    """Returns tables and notes as HTML for a notebook, without external files."""
    parts = []
    for title, rows in tables(found):
        head, *body = [
            _cells(row, "th" if not place else "td") for place, row in enumerate(rows)
        ]
        parts.append(
            f"<table><caption>{html.escape(title)}</caption><thead>{head}</thead>"
            f"<tbody>{''.join(body)}</tbody></table>"
        )
    notes = "".join(f"<li>{html.escape(hide(note))}</li>" for note in found.notes)
    return "".join(parts) + (f"<ul>{notes}</ul>" if notes else "")


def _cells(row: Sequence[str], tag: str) -> str:
    cells = "".join(f"<{tag}>{html.escape(hide(cell))}</{tag}>" for cell in row)
    return f"<tr>{cells}</tr>"


def as_csv(rows: Iterable[dict[str, object]]) -> str:
    """Returns rows as CSV with a header; a cell is empty if a run has no value."""
    listed = list(rows)
    out = io.StringIO()
    writer = csv.DictWriter(out, list(listed[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(listed)
    return hide(out.getvalue())
