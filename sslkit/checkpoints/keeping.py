"""Which checkpoints of a run are kept."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence

from sslkit.errors import UserError

_HOUR = 3600.0


@dataclasses.dataclass(frozen=True)
class Saved:
    """The facts about a checkpoint that its note has."""

    step: int
    time: float
    """When it was saved, in seconds since 1970; 0 if that is not known."""
    measures: Mapping[str, float]
    """The measures at its step: name -> number."""


@dataclasses.dataclass(frozen=True)
class Keep:
    """The rule for which checkpoints are kept when others are removed.

    Args:
        newest: how many of the newest are kept.
        best: a measure, such as `knn_top1`; the checkpoint with its highest value is
            kept too, the later one if two are equal. None for none.
        every_hours: beginning with the first, a checkpoint is kept for good when this
            many hours have passed since the last such one; None for none.
    """

    newest: int = 3
    best: str | None = None
    every_hours: float | None = None

    def __post_init__(self) -> None:
        """Refuses a rule that keeps nothing."""
        if self.newest < 1:
            raise UserError(f"train.keep is {self.newest}; it is 1 or more.")

    def kept(self, saved: Sequence[Saved]) -> set[int]:
        """Returns the steps of the checkpoints that are kept.

        Args:
            saved: all there are, oldest first.
        """
        steps = {one.step for one in saved[-self.newest :]}
        best = self.best_of(saved)
        if best is not None:
            steps.add(best.step)
        if self.every_hours is not None:
            last = -math.inf
            for one in saved:
                if one.time - last >= self.every_hours * _HOUR:
                    steps.add(one.step)
                    last = one.time
        return steps

    def best_of(self, saved: Sequence[Saved]) -> Saved | None:
        """Returns the best one by the measure; None if it was never measured."""
        name = self.best
        if name is None:
            return None
        measured = [
            one for one in saved if math.isfinite(one.measures.get(name, math.nan))
        ]
        return max(
            measured, key=lambda one: (one.measures[name], one.step), default=None
        )
