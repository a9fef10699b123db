"""Ranges of numbers, for use in annotations."""

from __future__ import annotations

import dataclasses
import math
from typing import Annotated


@dataclasses.dataclass(frozen=True)
class Range:
    """The finite numbers between two bounds, e.g. `Annotated[float, Range(0, 1)]`."""

    low: float | None = None
    """The least number; None for no bound."""
    high: float | None = None
    """The greatest number; None for no bound."""
    above: bool = False
    """Whether `low` itself is excluded."""
    below: bool = False
    """Whether `high` itself is excluded."""

    def __contains__(self, value: float) -> bool:
        """Returns whether a number is in the range; infinities and NaN never are."""
        # A whole number is finite, but may be too large for isfinite.
        if not isinstance(value, int) and not math.isfinite(value):
            return False
        if self.low is not None and (
            value <= self.low if self.above else value < self.low
        ):
            return False
        return self.high is None or (
            value < self.high if self.below else value <= self.high
        )

    def __str__(self) -> str:
        """Returns words that can follow `a number`, e.g. `, 1 or more`."""
        if self.low is not None and self.high is not None:
            left, right = "(" if self.above else "[", ")" if self.below else "]"
            return f" in {left}{self.low}, {self.high}{right}"
        if self.low is not None:
            return f" above {self.low}" if self.above else f", {self.low} or more"
        if self.high is not None:
            return f" below {self.high}" if self.below else f", {self.high} or less"
        return ""


PositiveInt = Annotated[int, Range(1)]
"""1 or more: sizes, and counts of things that are required."""
NonNegativeInt = Annotated[int, Range(0)]
"""0 or more: counts of things that may be absent."""
PositiveFloat = Annotated[float, Range(0, above=True)]
"""Above 0: temperatures, epsilons, seconds."""
NonNegativeFloat = Annotated[float, Range(0)]
"""0 or more: rates, coefficients of decay."""
Share = Annotated[float, Range(0, 1)]
"""In [0, 1]: shares and probabilities."""
PositiveShare = Annotated[float, Range(0, 1, above=True)]
"""In (0, 1]: shares that must not be zero."""
HalfOpenShare = Annotated[float, Range(0, 1, below=True)]
"""In [0, 1): decays of moving averages, which must not be constant."""
Cosine = Annotated[float, Range(-1, 1)]
"""In [-1, 1]: cosine similarities."""
Seed = Annotated[int, Range(0, 2**31, below=True)]
"""In [0, 2^31): random seeds that are possible on every device."""
