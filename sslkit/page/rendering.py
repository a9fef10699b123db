"""Renders the content of a page as one HTML file."""

from __future__ import annotations

import dataclasses
import importlib.resources
import itertools
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jinja2
from markupsafe import Markup

import sslkit
from sslkit.page.content import Content, Seen
from sslkit.page.curves import Curve, curves, svg
from sslkit.page.groups import SEED, Group, Spread, differing
from sslkit.page.record import Record
from sslkit.page.remarks import measured_on
from sslkit.page.thumbnails import sprite
from sslkit.secrets import hide
from sslkit.training.progress import duration

__all__ = [
    "Compared",
    "command",
    "compared",
    "html",
    "percent",
    "ran",
    "tiles",
    "timed",
]

_FEW_CLASSES = 10
"""Up to this number of classes, colours are those of the page's style; for more, they
are computed."""
_LEGEND = 20
_GIB = 2**30


def html(content: Content, *, folders: Sequence[str], written: str, faces: bool) -> str:
    """Renders a page.

    Args:
        content: the content of the page.
        folders: the folders, as given.
        written: the time, as text.
        faces: whether points of the map show their images.
    """
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_template),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=False,
    )
    environment.filters |= {"percent": percent, "colour": _colour, "swatch": _swatch}
    keys = (f"c{number}" for number in itertools.count())
    groups = content.groups
    drawn = curves(groups)
    several = len(content.runs) > 1
    title = "Report of " + (
        f"{len(content.runs)} runs" if several else content.runs[0].name
    )
    audits = [
        {
            "group": group,
            "name": name,
            "found": audit,
            "charts": [_chart(curve, next(keys)) for curve in audit.curves],
        }
        for group, name, audit in content.audits
    ]
    return environment.get_template("page.html.j2").render(
        title=title,
        subtitle=_subtitle(content, written),
        version=sslkit.__version__,
        css=Markup(_template("page.css")),
        js=Markup(_template("page.js")),
        parts=list(_parts(content)),
        page_notes=[hide(note) for note in content.notes],
        summaries=[
            {
                "group": group,
                "tiles": tiles(group),
                "remarks": content.remarks(group),
                "notes": _notes(group),
            }
            for group in groups
        ],
        recipes={r.recipe: _paragraphs(r.comment) for r in content.runs if r.comment},
        ran=[{**ran(run), "hue": content.hue(run)} for run in content.runs],
        timed=timed(content),
        compared=compared(content),
        groups=groups,
        seeds=any(len(group.runs) > 1 for group in groups),
        charts=[_chart(curve, next(keys)) for curve in drawn if _is_course(curve)],
        once=[_once(curve, groups) for curve in drawn if not _is_course(curve)],
        accuracies=content.protocols,
        looks=[_look(seen, faces) for seen in content.seen],
        audits=audits,
        command=command(folders),
        written=written,
    )


def command(folders: Sequence[str]) -> str:
    """Returns the command that makes a page of some folders."""
    return f"sslkit report {' '.join(shlex.quote(hide(one)) for one in folders)}"


@dataclasses.dataclass(frozen=True)
class Compared:
    """Settings that differ."""

    heads: tuple[tuple[int, str], ...]
    """Colour and name of each column."""
    rows: Mapping[str, Sequence[str]]


def compared(content: Content) -> Compared:
    """Returns the settings that differ between groups, or between the runs of one."""
    if len(content.groups) > 1:
        firsts = [group.first for group in content.groups]
        rows = differing(firsts)
        rows.pop(SEED, None)
        heads = [(group.hue, group.title) for group in content.groups]
    else:
        rows = differing(content.runs)
        heads = [(content.hue(run), run.name) for run in content.runs]
    return Compared(tuple(heads), rows)


def percent(spread: Spread) -> str:
    """Returns an accuracy as text, with its standard deviation over seeds."""
    mean = f"{100 * spread.mean:.1f}%"
    if spread.deviation is None:
        return mean
    return f"{mean} ± {100 * spread.deviation:.1f}"


def tiles(group: Group) -> list[dict[str, str]]:
    """Returns the few most important numbers of a group, each with its name."""
    first = group.first
    found = []
    rows = (first.result or {}).get("rows", ())
    ours = [row for row in rows if row["representation"] == "trained encoder"]
    linear = [row for row in ours if row["protocol"].startswith("linear")]
    for row in [*linear, *[row for row in ours if row not in linear][:1]]:
        values = [
            r["top1"]
            for run in group.runs
            for r in (run.result or {}).get("rows", ())
            if (r["protocol"], r["representation"])
            == (row["protocol"], row["representation"])
        ]
        name = row["protocol"].partition(" (logistic")[0]
        mean = sum(values) / len(values)
        found.append({"value": f"{mean:.1%}", "name": f"{name} accuracy"})
    if not ours and "knn_top1" in first.series and first.series["knn_top1"].values:
        last = first.series["knn_top1"].values[-1]
        found.append({"value": f"{last:.1%}", "name": "kNN accuracy in training"})
    health = (first.result or {}).get("health", {}).get("trained encoder", {})
    if health.get("effective_rank"):
        of = f" of {health['dim']}" if health.get("dim") else ""
        name = f"effective rank{of}, {measured_on(first)}"
        found.append({"value": f"{health['effective_rank']:.0f}", "name": name})
    if "loss" in first.series and first.series["loss"].values:
        loss = first.series["loss"].values[-1]
        found.append({"value": f"{loss:.3g}", "name": "last loss"})
    found.append({"value": f"{first.status.step:,}", "name": _of(first)})
    if first.seconds:
        found.append({"value": duration(round(first.seconds)), "name": "of training"})
    return found


def ran(run: Record) -> dict[str, str]:
    """Returns texts about a run: its state, data, devices, versions, time."""
    size, classes = run.data.get("size"), run.data.get("classes")
    data = [str(run.data.get("name", "not known"))]
    if isinstance(size, int):
        data.append(f"{size:,} images")
    if isinstance(classes, int):
        data.append(f"{classes:,} classes")
    elif "classes" in run.data:
        data.append("no labels")
    facts = run.facts
    versions = [
        f"{name} {facts[name]}"
        for name in ("sslkit", "tensorflow", "keras", "numpy")
        if name in facts
    ]
    if "commit" in facts:
        versions.append(f"commit {facts['commit'][:10]}")
    peak = run.machine.get("device_memory_peak_bytes")
    memory = peak or run.machine.get("host_memory_bytes")
    where = " on the GPU" if peak else ""
    device = facts.get("devices") or str(run.machine.get("device", "not known"))
    return {
        "name": run.name,
        "state": f"{run.status.state.partition(';')[0]}, {_updates(run)}",
        "seed": run.seed,
        "data": hide(", ".join(data)),
        "device": ", ".join(filter(None, [device, facts.get("system", "")])),
        "versions": ", ".join(versions) or "not kept",
        "time": duration(round(run.seconds)) if run.seconds else "not known",
        "speed": f"{run.speed:,.0f}" if run.speed else "not known",
        "memory": f"{memory / _GIB:.1f} GiB{where}" if memory else "not known",
    }


def timed(content: Content) -> str:
    """Returns what the times and speeds of runs mean, with the time of all runs."""
    total = duration(round(sum(run.seconds or 0 for run in content.runs)))
    return (
        f"Time is measured from the first report to the last, without stops ({total} "
        "in all). The live line of a run counts from the start of its process, so it "
        "includes compiling and the first steps. A run on several devices costs this "
        "time on each of them. Speed is the median of the reports."
    )


def _updates(run: Record) -> str:
    of = f" of {run.status.steps:,}" if run.status.steps else ""
    return f"{run.status.step:,}{of} updates"


def _of(run: Record) -> str:
    return f"of {run.status.steps:,} updates" if run.status.steps else "updates"


def _template(name: str) -> str:
    folder = importlib.resources.files("sslkit.page") / "templates"
    return (folder / name).read_text(encoding="utf-8")


def _subtitle(content: Content, written: str) -> str:
    recipes = dict.fromkeys(run.recipe for run in content.runs if run.recipe)
    going = [run for run in content.runs if run.status.state.startswith("running")]
    parts = [", ".join(recipes)] if recipes else []
    if going:
        parts.append(f"{len(going)} still training: these are results so far")
    return " · ".join([*parts, f"written {written}"])


def _parts(content: Content) -> Iterator[tuple[str, str]]:
    yield "health", "Summary"
    yield "ran", "Runs"
    yield "curves", "Curves"
    yield "accuracy", "Accuracy"
    if content.seen:
        yield "embedding", "Embedding"
        yield "views", "Views"
    if content.audits:
        yield "audit", "Audit"


def _notes(group: Group) -> list[str]:
    named = len(group.runs) > 1
    return [
        f"{run.name}: {note}" if named else note
        for run in group.runs
        for note in run.notes
    ]


def _paragraphs(comment: str) -> list[str]:
    """Returns the paragraphs of a recipe's comment, each in one line."""
    text = re.sub(r"\n(?=[A-Z][a-z ]+:)", "\n\n", comment)
    return [" ".join(part.split()) for part in text.split("\n\n") if part.strip()]


def _is_course(curve: Curve) -> bool:
    return any(len(line.steps) > 1 for line in curve.lines)


def _once(curve: Curve, groups: Sequence[Group]) -> dict[str, Any]:
    """Returns the row of a number that was reported only once, so has no curve."""
    found = {
        line.title: f"{curve.number(line.mean[0])} (update {line.steps[0]:,})"
        for line in curve.lines
    }
    return {
        "title": curve.title,
        "values": [found.get(group.title, "") for group in groups],
    }


def _chart(curve: Curve, key: str) -> dict[str, Any]:
    picture, hover = svg(curve, key)
    return {
        "title": curve.title,
        "svg": Markup(picture),
        # It is put into a script element, which the text must not end.
        "hover": Markup(hover.replace("<", "\\u003c")),
    }


def _look(seen: Seen, faces: bool) -> dict[str, Any]:
    look = seen.look
    places = look.map
    thumbnails = sprite(look.faces)
    few = len(places.legend) <= _FEW_CLASSES
    hues = [_hue(int(number), few) for number in places.colour]
    legend = [(_hue(n, few), title) for n, title in enumerate(places.legend)]
    shown = {int(number) for number in places.colour}
    legend = [one for number, one in enumerate(legend) if number in shown]
    more = max(0, len(legend) - _LEGEND)
    return {
        "group": seen.group,
        "name": seen.name,
        "seen": look,
        "sprite": thumbnails if faces else None,
        "side": thumbnails.side,
        "columns": thumbnails.columns,
        "rows": -(-thumbnails.count // thumbnails.columns),
        "points": [
            (f"{20 + 560 * x:.1f}", f"{20 + 560 * y:.1f}", hue, title)
            for x, y, hue, title in zip(
                places.x, places.y, hues, places.titles, strict=True
            )
        ],
        "radius": 6 if look.shown <= 400 else 4.5 if look.shown <= 1200 else 3,
        "legend": legend[:_LEGEND],
        "more": more,
        "words": f"Map of {look.shown:,} images of {look.split} by {places.words}. "
        f"Colours: {', '.join(places.legend[:_LEGEND])}.",
    }


def _hue(number: int, few: bool) -> str:
    """Returns a class of the page's style, or a computed colour."""
    if number < 0:
        return ""
    # Multiples of the golden angle, so that the colours of near numbers differ.
    return f"h{number}" if few else f"hsl({number * 137.508 % 360:.0f} 60% 55%)"


def _colour(hue: str) -> Markup:
    if hue.startswith("hsl"):
        return Markup(f' style="fill:{hue}"')
    return Markup(f' class="{hue}"') if hue else Markup("")


def _swatch(hue: str) -> Markup:
    if hue.startswith("hsl"):
        return Markup(f' style="--c:{hue}"')
    return Markup(f' style="--c:var(--hue-{hue[1:]})"') if hue else Markup("")
