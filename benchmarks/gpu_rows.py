"""Rows of the table of `gpu.py`, and functions for several of its parts."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys
from collections.abc import Sequence
from typing import Any, NamedTuple


class Row(NamedTuple):
    """One line of the table."""

    name: str
    ours: str
    against: str
    ratio: float | None
    """Ours / the other; None if there is nothing to compare."""
    note: str = ""


def compared(rates: dict[str, dict[str, Any]], ours: str, other: str) -> Row:
    """Returns the row that compares two cases."""
    shown = []
    for case in (ours, other):
        found = rates.get(case, {"error": "not started: no time was left"})
        if "views_per_second" not in found:
            missing = found.get("missing")
            why = f"{missing} is not installed" if missing else found.get("error", "")
            return Row(f"{ours} / {other}", "", "", None, f"{case}: {why}")
        shown.append(found["views_per_second"])
    first, second = shown
    return Row(
        f"{ours} / {other}",
        f"{first:,.0f} views/s",
        f"{second:,.0f} views/s",
        first / second,
    )


def last_line(texts: Sequence[str]) -> str:
    """Returns the last output line of processes, for the note of a row."""
    lines = [line for text in texts for line in text.splitlines() if line.strip()]
    return lines[-1][:200] if lines else "no output"


def equal_arrays(one: pathlib.Path, other: pathlib.Path, step: int) -> tuple[int, int]:
    """Returns how many arrays of two checkpoints are equal, and how many there are."""
    program = """
import sys, tensorflow as tf
a, b = (tf.train.load_checkpoint(path) for path in sys.argv[1:])
names = a.get_variable_to_shape_map()
assert set(names) == set(b.get_variable_to_shape_map())
print(sum(a.get_tensor(n).tobytes() == b.get_tensor(n).tobytes() for n in names))
print(len(names))
"""
    prefixes = [str(path / "checkpoints" / f"step_{step:08d}") for path in (one, other)]
    for prefix in prefixes:
        if not os.path.exists(f"{prefix}.index"):
            raise FileNotFoundError(prefix)
    out = subprocess.run(
        [sys.executable, "-c", program, *prefixes],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        check=True,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": ""},
    ).stdout
    same, arrays = map(int, out.split())
    return same, arrays


def show(rows: Sequence[Row]) -> str:
    """Returns the table."""
    cells = [("what", "ours", "against", "ratio", "note")]
    for row in rows:
        ratio = "" if row.ratio is None else f"{row.ratio:.3f}"
        cells.append((row.name, row.ours, row.against, ratio, row.note))
    widths = [max(len(line[place]) for line in cells) for place in range(4)]
    return "\n".join(
        "  ".join(
            text.ljust(width) for text, width in zip(line, [*widths, 0], strict=True)
        ).rstrip()
        for line in cells
    )
