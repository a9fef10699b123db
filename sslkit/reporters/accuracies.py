"""Accuracies of a result under short names, for curves and tables."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any


def accuracies(result: Mapping[str, Any]) -> dict[str, float]:
    """Returns name -> accuracy of a result's rows, in [0, 1].

    Args:
        result: what `result.json` holds.

    Returns:
        E.g. `result/trained_encoder/kNN_k_20_T_0.07/top1`.
    """
    found = {}
    for row in result["rows"]:
        name = f"result/{_plain(row['representation'])}/{_plain(row['protocol'])}"
        found[f"{name}/top1"] = float(row["top1"])
        found[f"{name}/top5"] = float(row["top5"])
    return found


def _plain(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9.]+", "_", text).strip("_")
