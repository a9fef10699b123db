"""Which checkpoints of a run are kept."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence

from sslkit.errors import UserError

_HOUR = 3600.0


@dataclasses.dataclass(frozen=True)
class Saved:
    """What is known of a checkpoint without reading it."""

    step: int
    time: float
    """When it was saved, in seconds since 1970; 0 where that is not known."""
    measures: Mapping[str, float]
    """What was measured at its step: name -> number."""


@dataclasses.dataclass(frozen=True)
class Keep:
    """The rule by which old checkpoints are removed.

    Args:
        newest: how many of the newest are kept.
        best: the measure, such as `knn_top1`, of which the checkpoint with the highest
            number is kept too, the later one of two that are equal; None for none.
        every_hours: one is kept for every so many hours, beginning with the first;
            None for none.
    """

    newest: int = 3
    best: str | None = None
    every_hours: float | None = None

    def __post_init__(self) -> None:
        """Refuses to keep nothing."""
        if self.newest < 1:
            raise UserError(f"train.keep is {self.newest}; it is 1 or more.")

    def kept(self, saved: Sequence[Saved]) -> set[int]:
        """Returns the steps of those that stay.

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
        """Returns the best one, by the measure; None where nothing was measured."""
        name = self.best
        if name is None:
            return None
        measured = [
            one for one in saved if math.isfinite(one.measures.get(name, math.nan))
        ]
        return max(
            measured, key=lambda one: (one.measures[name], one.step), default=None
        )
