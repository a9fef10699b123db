"""Alarms for bad values of health; imports nothing, so that it is quick to import."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

_ALARMS: Sequence[tuple[str, Callable[[float], bool], str]] = (
    (
        "effective_rank",
        lambda value: value < 1.05,
        "the features have collapsed onto one line",
    ),
    (
        "spread",
        lambda value: value < 0.01,
        "the features have collapsed: all images get nearly the same",
    ),
    (
        "bank_filled",
        lambda value: value == 0,
        "the memory bank is dead: nothing has been written to it",
    ),
    (
        "bank_sameness",
        lambda value: value > 0.999,
        "the memory bank is dead: all its rows are nearly the same",
    ),
    (
        "detected_share",
        lambda value: value == 0,
        "the detector of false negatives takes nothing",
    ),
    (
        "detected_share",
        lambda value: value >= 0.99,
        "the detector of false negatives takes as many as it may, so its limit decides "
        "and not its threshold; `sslkit audit` shows how many are right",
    ),
)
"""(name, whether a value is bad, what that means)."""


def alarms(found: Mapping[str, float | None]) -> dict[str, str]:
    """Returns the alarms of a run: name of the measure -> what is wrong.

    Args:
        found: name -> number; the names are without the prefix `health/`. Missing names
            raise no alarm. A number that was not finite may be None.
    """
    known = {
        name: value
        for name, value in found.items()
        if value is not None and math.isfinite(value)
    }
    return {
        name: words
        for name, is_bad, words in _ALARMS
        if name in known and is_bad(known[name])
    }
