"""Means over seeds, and whether two of them differ: what few runs can tell."""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

_LEVEL = 0.95
ENOUGH = 6
"""Pairs from which on a sign-flip test can come to p below 0.05: 2 / 2^6."""
_EXACT = 12
"""Pairs up to which every pattern of signs is tried."""
_DRAWN = 10_000
"""Patterns that are tried of more pairs."""

Verdict = Literal["higher", "lower", "perhaps higher", "perhaps lower", "cannot tell"]


@dataclasses.dataclass(frozen=True)
class Mean:
    """A number over seeds."""

    mean: float
    spread: float | None
    """Standard deviation over the seeds (with n - 1); None for one."""
    n: int


@dataclasses.dataclass(frozen=True)
class Difference:
    """By how much one configuration exceeds another in one measure."""

    mean: float
    interval: tuple[float, float] | None
    """Of 95%, by Student's t; None where there is one pair, or no spread is known."""
    n: int
    """Pairs of runs with the same seed; of two unpaired sets, runs of the smaller."""
    paired: bool
    p: float | None
    """Two-sided, of the sign-flip test over pairs; None where they are not paired."""
    verdict: Verdict


def mean_of(values: Sequence[float]) -> Mean:
    """Returns mean and spread of at least one value."""
    spread = statistics.stdev(values) if len(values) > 1 else None
    return Mean(statistics.fmean(values), spread, len(values))


def difference(
    here: Mapping[str, float], there: Mapping[str, float]
) -> Difference | None:
    """Compares one measure of two configurations.

    Runs with the same seed start from like weights and see the same images in the same
    order, so they are compared pair by pair where there are two such pairs or more, and
    else as two unpaired sets (Welch).

    Args:
        here: seed -> value.
        there: seed -> value of what is compared with.

    Returns:
        `here` less `there`; None where either is empty.
    """
    if not here or not there:
        return None
    seeds = [seed for seed in here if seed in there]
    if len(seeds) < 2 and (len(here) > 1 and len(there) > 1):
        return _unpaired(list(here.values()), list(there.values()))
    if not seeds:
        gap = statistics.fmean(here.values()) - statistics.fmean(there.values())
        count = min(len(here), len(there))
        return Difference(gap, None, count, False, None, "cannot tell")
    return _paired([here[seed] - there[seed] for seed in seeds])


def _paired(gaps: Sequence[float]) -> Difference:
    found = mean_of(gaps)
    if found.spread is None:
        return Difference(found.mean, None, 1, True, None, "cannot tell")
    half = _half_width(found.spread / math.sqrt(found.n), found.n - 1)
    interval = (found.mean - half, found.mean + half)
    p = _sign_flips(gaps)
    return Difference(
        found.mean, interval, found.n, True, p, _verdict(interval, found.n, p)
    )


def _unpaired(here: Sequence[float], there: Sequence[float]) -> Difference:
    ours, theirs = mean_of(here), mean_of(there)
    gap, count = ours.mean - theirs.mean, min(ours.n, theirs.n)
    parts = [(one.spread or 0.0) ** 2 / one.n for one in (ours, theirs)]
    if not sum(parts):
        return Difference(gap, (gap, gap), count, False, None, "cannot tell")
    # Welch and Satterthwaite's degrees of freedom.
    freedom = sum(parts) ** 2 / sum(
        part**2 / (one.n - 1) for part, one in zip(parts, (ours, theirs), strict=True)
    )
    half = _half_width(math.sqrt(sum(parts)), freedom)
    interval = (gap - half, gap + half)
    return Difference(
        gap, interval, count, False, None, _verdict(interval, count, None)
    )


def _half_width(error: float, freedom: float) -> float:
    from scipy.special import stdtrit  # the quantile of Student's t

    return float(stdtrit(freedom, (1 + _LEVEL) / 2)) * error


def _sign_flips(gaps: Sequence[float]) -> float:
    """Returns the p of a mean as far from 0 as this one, were each sign a coin's.

    Of all patterns of signs up to 12 pairs; of the same 10,000 for more.
    """
    count = len(gaps)
    if count <= _EXACT:
        places = np.arange(2**count)[:, None] >> np.arange(count)
        signs = 1.0 - 2.0 * (places & 1)
    else:
        drawn = np.random.default_rng(0).choice([-1.0, 1.0], [_DRAWN - 1, count])
        signs = np.concatenate([np.ones([1, count]), drawn])
    sums = np.abs(signs @ np.asarray(gaps, np.float64))
    # Sums of the same numbers in another order differ in their last bits.
    as_far = sums >= abs(math.fsum(gaps)) - 1e-12 * math.fsum(map(abs, gaps))
    return float(np.mean(as_far))


def _verdict(interval: tuple[float, float], count: int, p: float | None) -> Verdict:
    low, high = interval
    if low <= 0 <= high:
        return "cannot tell"
    # A t interval of few pairs rests on their being normal.
    sure = count >= ENOUGH and (p is None or p < 1 - _LEVEL)
    if low > 0:
        return "higher" if sure else "perhaps higher"
    return "lower" if sure else "perhaps lower"
