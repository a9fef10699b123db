"""Accuracies of runs, and their mean over seeds, for the tables of several methods."""

from __future__ import annotations

import json
import pathlib
import statistics
from collections.abc import Mapping, Sequence


def accuracies(
    folder: pathlib.Path, who: str, protocols: Mapping[str, str]
) -> dict[str, float]:
    """Returns the top-1 of a run in %, by column.

    Args:
        folder: the run's workdir.
        who: the representation, e.g. `trained encoder`.
        protocols: how a protocol begins -> its column.
    """
    rows = json.loads((folder / "result.json").read_text())["rows"]
    return {
        column: 100 * row["top1"]
        for row in rows
        for begin, column in protocols.items()
        if row["protocol"].startswith(begin) and row["representation"] == who
    }


def spread(values: Sequence[float]) -> str:
    """Returns the mean and the sample standard deviation."""
    if len(values) == 1:
        return f"{values[0]:.1f}"
    return f"{statistics.mean(values):.1f} ± {statistics.stdev(values):.1f}"
