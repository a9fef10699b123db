"""Curves of metrics, drawn by matplotlib as SVG in the colours of the page."""

from __future__ import annotations

import dataclasses
import io
import json
import re
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from sslkit.page.groups import Group, course

__all__ = ["Curve", "Line", "curves", "svg"]

_TITLES = {
    "loss": "Loss",
    "learning_rate": "Learning rate",
    "gradient_norm": "Gradient norm",
    "knn_top1": "kNN accuracy",
    "false_negatives": "False negatives detected per anchor",
    "positive_cosine": "Cosine of positives",
    "health/effective_rank": "Effective rank, training images (1: collapsed)",
    "health/spread": "Spread of features, training images (0: collapsed)",
    "health/uniformity": "Uniformity, training images (lower: more even)",
    "health/alignment": "Distance of two views (alignment)",
    "health/cosine_gap": "Cosine of views less that of images",
    "health/twin_distance": "Distance of the momentum twin",
    "health/bank_filled": "Share of the bank that is filled",
    "health/bank_age": "Age of the bank, in updates",
    "health/bank_sameness": "Sameness of the bank (1: all rows are equal)",
    "health/false_negatives": "False negatives detected, fixed images",
    "health/detected_share": "Share of the allowed detections used",
}
_SIZE = (3.6, 2.0)
"""Width and height of one chart, in inches."""
_POINTS = 6000
"""The largest number of points of one chart, over all its lines."""
INK, MUTED, GRID = "#010101", "#020202", "#030303"
"""Placeholders in matplotlib's output, which are replaced by colours of the page."""
_HUE = "#0400{:02x}"
_IDS = re.compile(r'(\bid="|url\(#|xlink:href="#)')


@dataclasses.dataclass(frozen=True)
class Line:
    """The values of one group of runs."""

    title: str
    hue: int
    steps: np.ndarray
    """int [n], in rising order."""
    mean: np.ndarray
    """float [n], over seeds."""
    low: np.ndarray
    high: np.ndarray
    seeds: int


@dataclasses.dataclass(frozen=True)
class Curve:
    """One chart."""

    metric: str
    title: str
    lines: tuple[Line, ...]
    share: bool
    """Whether values are shares, shown in percent."""
    along: str = "update"
    """What the horizontal axis counts."""

    @property
    def words(self) -> str:
        """What the chart shows, as text for screen readers."""
        parts = [
            f"{line.title}: from {self.number(line.mean[0])} to "
            f"{self.number(line.mean[-1])} at {self.along} {line.steps[-1]:,}"
            for line in self.lines
        ]
        return f"{self.title}. {'; '.join(parts)}."

    def number(self, value: float) -> str:
        """Returns a value as text."""
        return f"{value:.1%}" if self.share else f"{value:.4g}"


def curves(groups: Sequence[Group]) -> list[Curve]:
    """Returns a chart for each metric that any run has, the most important first."""
    found = dict.fromkeys(_TITLES)
    for group in groups:
        for run in group.runs:
            found |= dict.fromkeys(sorted(run.series))
    made = []
    most = max(20, min(400, _POINTS // max(1, len(groups))))
    for metric in found:
        lines = tuple(_lines(groups, metric, most))
        if lines:
            title = _TITLES.get(metric, metric.replace("/", ": ").replace("_", " "))
            made.append(Curve(metric, title, lines, metric.endswith("top1")))
    return made


def _lines(groups: Sequence[Group], metric: str, most: int) -> Iterator[Line]:
    for group in groups:
        rows = course(group, metric)
        if not rows:
            continue
        steps, mean, low, high = map(np.array, zip(*rows, strict=True))
        if len(rows) > most:
            # Means of consecutive reports, so that every report counts.
            parts = np.array_split(np.arange(len(rows)), most)
            steps = np.array([steps[part[-1]] for part in parts])
            mean = np.array([mean[part].mean() for part in parts])
            low = np.array([low[part].min() for part in parts])
            high = np.array([high[part].max() for part in parts])
        seeds = sum(metric in run.series for run in group.runs)
        yield Line(group.title, group.hue, steps, mean, low, high, seeds)


def draw(axes: Any, curve: Curve, hues: Sequence[str], ink: str, grid: str) -> None:
    """Draws a chart into axes of matplotlib.

    Args:
        axes: the axes.
        curve: the chart.
        hues: the colours of groups.
        ink: the colour of text.
        grid: the colour of grid lines.
    """
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    for line in curve.lines:
        colour = hues[line.hue % len(hues)]
        alone = "o" if len(line.steps) == 1 else ""
        axes.plot(line.steps, line.mean, color=colour, lw=1.6, marker=alone, ms=3.5)
        if line.seeds > 1:
            axes.fill_between(
                line.steps, line.low, line.high, color=colour, alpha=0.18, lw=0
            )
    axes.set_facecolor("none")
    axes.grid(True, color=grid, lw=0.6)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(grid)
    axes.tick_params(colors=ink, labelsize=7.5, length=0)
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(5))
    if curve.share:
        axes.yaxis.set_major_formatter(FuncFormatter(_percent))
    for text in (axes.yaxis.get_offset_text(), axes.xaxis.get_offset_text()):
        text.set_color(ink)
        text.set_size(7)


def _percent(value: float, place: int) -> str:
    return f"{100 * value:.3g}%"


def svg(curve: Curve, key: str) -> tuple[str, str]:
    """Draws a chart for the page.

    Args:
        curve: the chart.
        key: a word that is unique in the page; all ids in the chart begin with it.

    Returns:
        The `svg` element, which takes its colours from the page's variables; and JSON
        with what is shown under the pointer: the box of the axes as shares of the
        picture, its limits and the values.
    """
    import matplotlib
    from matplotlib.figure import Figure

    hues = [_HUE.format(number) for number in range(8)]
    settings: Any = {
        "svg.fonttype": "none",
        "svg.hashsalt": "sslkit",
        "font.family": "sans-serif",
        "path.simplify": True,
    }
    with matplotlib.rc_context(settings), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")
        figure = Figure(figsize=_SIZE)
        axes = figure.add_axes((0.135, 0.12, 0.845, 0.81))
        draw(axes, curve, hues, MUTED, GRID)
        figure.patch.set_visible(False)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None})
        left, right = axes.get_xlim()
        box = axes.get_position()
    text = _embedded(buffer.getvalue(), curve, key)
    hover = {
        "u": curve.along,
        "box": [round(v, 4) for v in (box.x0, 1 - box.y1, box.x1, 1 - box.y0)],
        "x": [left, right],
        "lines": [
            {
                "t": line.title,
                "h": line.hue,
                "s": line.steps.tolist(),
                "v": [_shown(curve, line, place) for place in range(len(line.steps))],
            }
            for line in curve.lines
        ],
    }
    return text, json.dumps(hover, ensure_ascii=True, separators=(",", ":"))


def _shown(curve: Curve, line: Line, place: int) -> str:
    mean = curve.number(line.mean[place])
    if line.seeds < 2:
        return mean
    low, high = curve.number(line.low[place]), curve.number(line.high[place])
    return f"{mean} ({low} to {high})"


def _embedded(text: str, curve: Curve, key: str) -> str:
    """Returns matplotlib's SVG file as an element of a page."""
    from markupsafe import escape

    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)
    text = _IDS.sub(rf"\g<1>{key}-", text)
    text = text.replace(MUTED, "var(--muted)").replace(GRID, "var(--line)")
    text = re.sub(
        r"#0400([0-9a-f]{2})", lambda found: f"var(--hue-{int(found[1], 16)})", text
    )
    # The font is the page's.
    text = re.sub(r"font: ([\d.]+)px [^;\"]*", r"font-size: \1px", text)
    text = re.sub(r"\s*\n\s*", " ", text)
    label = escape(curve.words)
    width, height = (round(100 * side) for side in _SIZE)
    return re.sub(
        r"<svg [^>]*?viewBox=\"([^\"]+)\"[^>]*>",
        f'<svg role="img" aria-label="{label}" width="{width}" height="{height}" '
        r'viewBox="\1" xmlns:xlink="http://www.w3.org/1999/xlink">',
        text,
        count=1,
    )
