"""Reads the precision and recall that a run recorded while it trained."""

from __future__ import annotations

import json
import os
from typing import Any

import numpy as np

from sslkit.errors import UserError
from sslkit.status.files import text

_POINTS = 50
_COUNTS = tuple(f"false_negatives_{name}" for name in ("judged", "right", "present"))


def recorded(folder: str) -> list[dict[str, Any]]:
    """Returns precision and recall over training.

    Args:
        folder: the run's folder.

    Returns:
        Up to 50 rows. Each summarises the lines of metrics between the row before and
        its own `step`. Empty if the run did not measure its detection
        (`objectives.fnc.measure_detection`).
    """
    try:
        lines = text(os.path.join(folder, "metrics.jsonl")).splitlines()
    except UserError:
        return []
    found = []
    for line in lines:
        try:
            record = json.loads(line)
            row = [float(record[name]) for name in ("step", *_COUNTS)]
        except (ValueError, TypeError, KeyError, RecursionError):
            continue  # A line that was cut off, or one without a measurement.
        if np.isfinite(row).all():
            found.append(row)
    rows = []
    for part in np.array_split(np.array(found), min(_POINTS, len(found)) or 1):
        if len(part):
            judged, right, present = part[:, 1:].sum(axis=0)
            rows.append(
                {
                    "step": int(part[-1, 0]),
                    "precision": right / judged if judged else None,
                    "recall": right / present if present else None,
                }
            )
    return rows
