"""A picture of precision against recall, and of both over training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sslkit.storage import reaching, replacing

_BLUE, _ORANGE, _GREEN = "#0072b2", "#d55e00", "#009e73"


def draw(found: Mapping[str, Any], path: str) -> None:
    """Draws the curves of an audit with labels into a PNG file.

    Args:
        found: as `audit.json` holds it.
        path: the path of the file.

    Raises:
        UserError: if it cannot be written.
    """
    # Slow to import, and only this function needs it. No window is ever opened.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4.2), dpi=100, layout="constrained")
    left, right = figure.subplots(1, 2)
    _against(left, found)
    _over(right, found)
    with reaching("the picture", path, verb="written"), replacing(path) as beside:
        figure.savefig(beside, format="png")


def _against(axes: Any, found: Mapping[str, Any]) -> None:
    for name, key, colour, style in (
        ("the k highest", "topk", _BLUE, "-o"),
        ("above a threshold", "threshold", _GREEN, "--"),
    ):
        rows = _known(found[f"by_{key}"])
        axes.plot(
            [row["recall"] for row in rows],
            [row["precision"] for row in rows],
            style,
            color=colour,
            markersize=3,
            label=name,
        )
    for row in _known(found["by_topk"]):
        if row["topk"] in (1, 5, 10, 20, 50, 100):
            at = (row["recall"], row["precision"])
            axes.annotate(f"{row['topk']}", at, fontsize=7, color=_BLUE)
    whose = "the run" if found["own_policy"] else "the given options"
    points = (
        (
            found["choice"],
            "X",
            _ORANGE,
            whose,
        ),
        (found["oracle"], "*", "#000000", "an oracle that takes as many"),
    )
    for row, mark, colour, name in points:
        if row["precision"] is not None and row["recall"] is not None:
            axes.plot(
                row["recall"], row["precision"], mark, color=colour, ms=10, label=name
            )
    if found["chance_precision"] is not None:
        axes.axhline(found["chance_precision"], color="#808080", lw=1, label="chance")
    axes.set(
        xlabel="recall",
        ylabel="precision",
        xlim=(0, 1.02),
        ylim=(0, 1.02),
        title=f"Step {found['step']}",
    )
    axes.legend(fontsize=7, loc="lower left")


def _over(axes: Any, found: Mapping[str, Any]) -> None:
    """Draws precision and recall over steps: of the checkpoints, and as recorded."""
    for name, colour in (("precision", _BLUE), ("recall", _ORANGE)):
        rows = [row for row in found["over_training"] if row[name] is not None]
        axes.plot(
            [row["step"] for row in rows],
            [row[name] for row in rows],
            "o-",
            color=colour,
            label=f"{name}, checkpoints",
        )
        rows = [row for row in found["recorded"] if row[name] is not None]
        if rows:
            axes.plot(
                [row["step"] for row in rows],
                [row[name] for row in rows],
                "-",
                color=colour,
                alpha=0.5,
                lw=1,
                label=f"{name}, in training",
            )
    if found["chance_precision"] is not None:
        axes.axhline(found["chance_precision"], color="#808080", lw=1, label="chance")
    axes.set(xlabel="step", ylim=(0, 1.02), title="Over training")
    axes.set_xlim(left=0)
    axes.legend(fontsize=7)


def _known(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return [
        row
        for row in rows
        if row["precision"] is not None and row["recall"] is not None
    ]
