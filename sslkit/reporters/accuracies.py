"""Accuracies of a result with short names, for curves and tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sslkit.evaluation import numbers_of, plain


def accuracies(result: Mapping[str, Any]) -> dict[str, float]:
    """Returns name -> number of a result's rows; accuracies are in [0, 1].

    Args:
        result: the contents of `result.json`.

    Returns:
        E.g. `result/trained_encoder/kNN_k_20_T_0.07/top1`.
    """
    found = {}
    for row in result["rows"]:
        name = f"result/{plain(row['representation'])}/{plain(row['protocol'])}"
        for number, value in numbers_of(row).items():
            found[f"{name}/{plain(number)}"] = value
    return found
