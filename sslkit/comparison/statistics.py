"""Means over seeds, and tests of whether two of them differ, for few runs."""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

_LEVEL = 0.95
ENOUGH = 6
"""The fewest pairs for which a sign-flip test can give p < 0.05, as 2 / 2^6 = 0.03."""
_EXACT = 12
"""Up to this number of pairs, every pattern of signs is tried."""
_SAME = 1e-9
"""Numbers whose spread is less than this share of them are the same; their last bits
differ by rounding."""
_DRAWN = 10_000
"""How many patterns of signs are tried for more pairs."""

Verdict = Literal["higher", "lower", "perhaps higher", "perhaps lower", "cannot tell"]


@dataclasses.dataclass(frozen=True)
class Mean:
    """The mean of a number over seeds."""

    mean: float
    spread: float | None
    """Standard deviation over the seeds (with n - 1); None for a single seed."""
    n: int


@dataclasses.dataclass(frozen=True)
class Difference:
    """The difference of two configurations in one measure."""

    mean: float
    interval: tuple[float, float] | None
    """The 95% interval by Student's t; None for a single pair, or without a spread:
    where all differences are the same, t has nothing to estimate it from."""
    n: int
    """Pairs of runs with the same seed; for unpaired sets, the size of the smaller."""
    paired: bool
    p: float | None
    """Two-sided p of the sign-flip test over pairs; None for unpaired sets."""
    verdict: Verdict


def mean_of(values: Sequence[float]) -> Mean:
    """Returns mean and spread of at least one value."""
    spread = statistics.stdev(values) if len(values) > 1 else None
    return Mean(statistics.fmean(values), spread, len(values))


def difference(
    here: Mapping[str, float], there: Mapping[str, float]
) -> Difference | None:
    """Compares one measure of two configurations.

    Runs with the same seed start from equal weights, if their networks are the same,
    and see the same images in the same order. So they are compared pair by pair if
    there are two such pairs or more, and otherwise as two unpaired sets (Welch's test).

    Args:
        here: seed -> value.
        there: seed -> value, of the configuration that is compared with.

    Returns:
        `here` less `there`; None if either is empty.
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
    p = _sign_flips(gaps)
    if found.spread <= _SAME * max(map(abs, gaps)):
        sure = found.n >= ENOUGH and p < 1 - _LEVEL
        verdict: Verdict = "higher" if found.mean > 0 else "lower"
        return Difference(
            found.mean, None, found.n, True, p, verdict if sure else "cannot tell"
        )
    half = _half_width(found.spread / math.sqrt(found.n), found.n - 1)
    interval = (found.mean - half, found.mean + half)
    return Difference(
        found.mean, interval, found.n, True, p, _verdict(interval, found.n, p)
    )


def _unpaired(here: Sequence[float], there: Sequence[float]) -> Difference:
    ours, theirs = mean_of(here), mean_of(there)
    gap, count = ours.mean - theirs.mean, min(ours.n, theirs.n)
    parts = [(one.spread or 0.0) ** 2 / one.n for one in (ours, theirs)]
    if math.sqrt(sum(parts)) <= _SAME * max(abs(ours.mean), abs(theirs.mean)):
        return Difference(gap, None, count, False, None, "cannot tell")
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
    """Returns how likely a mean this far from 0 is if all signs are random.

    For up to 12 pairs, all patterns of signs are tried; for more, 10,000 fixed ones.
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
    # With few pairs, a t interval is right only if they are normally distributed.
    sure = count >= ENOUGH and (p is None or p < 1 - _LEVEL)
    if low > 0:
        return "higher" if sure else "perhaps higher"
    return "lower" if sure else "perhaps lower"
