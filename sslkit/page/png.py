"""A report as one picture: curves, accuracies, map and neighbours."""

from __future__ import annotations

import base64
import colorsys
import io
import textwrap
import warnings
from typing import Any

from sslkit.page.content import Content, Protocol, Seen
from sslkit.page.curves import curves
from sslkit.page.curves import draw as draw_curve
from sslkit.page.mapping import Map
from sslkit.page.thumbnails import Picture

_HUES = (
    "#1b6ec2", "#d9541e", "#16855b", "#a8357f", "#8a6d00", "#5b4bc4", "#0d8a99",
    "#6b7280", "#c22f4a", "#5f8a1c",
)  # fmt: skip
_INK, _GRID = "#30353f", "#dfe2e7"
_COLUMNS = 3
_CURVES = 6
_ROW = 2.1
"""Inches."""
_WIDTH = 12.0
_DPI = 110
_NEAR = 8
_TITLE = 36
"""The most letters of a line in the title of a protocol."""
_NAME = 24
"""Letters of a class's name in the legend of the map."""
_LEGEND = 20
"""The most classes that are named beside the map."""


def draw(content: Content) -> bytes:
    """Draws a report.

    Args:
        content: the content of the report.

    Returns:
        The bytes of a PNG file.
    """
    from matplotlib.figure import Figure

    charts = curves(content.groups)[:_CURVES]
    rows = -(-len(charts) // _COLUMNS)
    bars = len(content.protocols) > 0
    seen = content.seen[:1]
    heights = [0.75, *[_ROW] * rows, *[2.3] * bars, *[5.2] * len(seen)]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        figure = Figure(figsize=(_WIDTH, sum(heights)), dpi=_DPI, layout="constrained")
        parts = iter(
            figure.subfigures(
                len(heights), 1, height_ratios=heights, squeeze=False
            ).flat
        )
        _head(next(parts), content)
        for first in range(0, len(charts), _COLUMNS):
            line = next(parts).subplots(1, _COLUMNS, squeeze=False)[0]
            for axes in line:
                axes.set_axis_off()
            for axes, curve in zip(line, charts[first:], strict=False):
                axes.set_axis_on()
                draw_curve(axes, curve, _HUES, _INK, _GRID)
                axes.set_title(curve.title, fontsize=9, loc="left", parse_math=False)
        if bars:
            _bars(next(parts), content.protocols)
        for one in seen:
            _seen(next(parts), one)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", facecolor="white")
    return buffer.getvalue()


def _head(figure: Any, content: Content) -> None:
    several = len(content.runs) > 1
    title = f"{len(content.runs)} runs" if several else content.runs[0].name
    words = {"size": 15, "weight": "bold", "color": _INK, "parse_math": False}
    figure.text(0.012, 0.95, f"Report of {title}", va="top", **words)
    left = 0.012
    for group in content.groups[:8]:
        colour = _HUES[group.hue]
        plain = {"size": 9, "parse_math": False, "va": "bottom"}
        figure.text(left, 0.02, f"— {group.title}", color=colour, **plain)
        left += 0.02 + 0.0075 * len(group.title)


def _bars(figure: Any, protocols: tuple[Protocol, ...]) -> None:
    from matplotlib.ticker import PercentFormatter

    shown = protocols[:_COLUMNS]
    line = figure.subplots(1, len(shown), squeeze=False)[0]
    for axes, protocol in zip(line, shown, strict=True):
        names, values, errors, colours = [], [], [], []
        for row in reversed(protocol.rows):
            parts = (("raw pixels", row.pixels), ("untrained", row.untrained))
            for name, spread in (*parts, ("trained", row.trained)):
                if spread is not None:
                    names.append(f"{row.group.title}, {name}")
                    values.append(spread.mean)
                    errors.append(spread.deviation or 0.0)
                    own = name == "trained"
                    colours.append(_HUES[row.group.hue] if own else "#b9bec8")
        places = range(len(names))
        axes.barh(places, values, xerr=errors, color=colours, height=0.7)
        axes.set_yticks(places, names, fontsize=7, parse_math=False)
        axes.set_xlim(0, 1)
        axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        title = textwrap.fill(protocol.title, _TITLE)
        axes.set_title(title, fontsize=9, loc="left", parse_math=False)
        axes.tick_params(colors=_INK, labelsize=7)
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)


def _seen(figure: Any, seen: Seen) -> None:
    look = seen.look
    left, right = figure.subfigures(1, 2, width_ratios=(1, 1.35))
    axes = left.subplots()
    axes.scatter(look.map.x, -look.map.y, s=9, c=[_of(int(n)) for n in look.map.colour])
    axes.set_aspect("equal")
    axes.set_axis_off()
    title = f"{seen.name}: {look.map.layout.upper()} of {look.split}"
    axes.set_title(title, fontsize=9, loc="left", parse_math=False)
    _legend(axes, look.map)
    if not look.rows:
        return
    grid = right.subplots(len(look.rows), _NEAR + 1, squeeze=False)
    right.suptitle(
        "Random images (left) and their nearest neighbours",
        fontsize=9,
        x=0.02,
        ha="left",
    )
    for line, row in zip(grid, look.rows, strict=True):
        for place in line:
            place.set_axis_off()
        pictures = [row.query, *(near.picture for near in row.near)]
        frames = [None, *(near.agrees for near in row.near)]
        for place, picture, agrees in zip(line, pictures, frames, strict=False):
            _show(place, picture, agrees)


def _legend(axes: Any, places: Map) -> None:
    """Names the classes or clusters that a map shows, below it."""
    from matplotlib.lines import Line2D

    shown = sorted({int(number) for number in places.colour if number >= 0})
    named = shown[:_LEGEND]
    style: dict[str, Any] = {"marker": "o", "linestyle": "", "markersize": 4}
    keys = [Line2D([], [], color=_of(number), **style) for number in named]
    words = [_short(places.legend[number]) for number in named]
    if len(shown) > len(named):
        keys.append(Line2D([], [], color="none", **style))
        words.append(f"and {len(shown) - len(named)} more")
    found = axes.legend(
        keys,
        words,
        loc="upper center",
        bbox_to_anchor=(0.5, 0),
        ncols=min(4, max(1, len(words))),
        fontsize=7,
        frameon=False,
        handletextpad=0.2,
    )
    for text in found.get_texts():
        text.set_parse_math(False)


def _show(axes: Any, picture: Picture, agrees: bool | None) -> None:
    import matplotlib.image

    kind, _, data = picture.uri.partition(";base64,")
    image = matplotlib.image.imread(
        io.BytesIO(base64.b64decode(data)), format=kind.rpartition("/")[2]
    )
    axes.set_axis_on()
    axes.imshow(image, interpolation="nearest" if picture.width <= 32 else None)
    axes.set_xticks([])
    axes.set_yticks([])
    colour = {True: "#17703f", False: "#b3261e", None: "#9aa1ad"}[agrees]
    for spine in axes.spines.values():
        spine.set(
            color=colour, linewidth=1.6, linestyle="--" if agrees is False else "-"
        )


def _of(number: int) -> Any:
    if number < 0:
        return "#9aa1ad"
    if number < len(_HUES):
        return _HUES[number]
    return colorsys.hls_to_rgb(number * 0.381966 % 1, 0.5, 0.6)


def _short(name: str) -> str:
    """Returns the beginning of a name; a single long word has one, too."""
    name = " ".join(name.split())
    return name if len(name) <= _NAME else f"{name[: _NAME - 1]}…"
