"""Noticing a loss that jumps."""

from __future__ import annotations

import statistics
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from sslkit.training.actions import Action, Moment
from sslkit.training.guard import REFUSED

_WINDOW = 100
"""Steps over which the median is taken."""
_FEWEST = 50
"""Steps before the first spike can be reported."""
_DEVIATIONS = 10.0
"""How far above the median a spike is, in standard deviations, which are estimated from
the median absolute deviation as for a normal distribution."""
_LEAST = 0.1
"""How far it is at least, as a share of the median."""


class Spikes(Action):
    """Reports when the loss jumps above the running median, and counts such steps.

    A line of metrics has `loss_spikes` if there were any since the line before. A spike
    is reported once, however many steps it lasts.

    Args:
        every: steps between two lines of metrics.
        say: prints a line for the user.
        pending: what `pending` returned when this run was last saved.
    """

    needs_state = False

    def __init__(
        self,
        *,
        every: int,
        say: Callable[[str], None],
        pending: Mapping[str, Any] | None = None,
    ):
        """Keeps the options; see the class."""
        self.every = every
        self._say = say
        known = (pending or {}).get("spikes", {})
        self._recent = deque(known.get("recent", ()), maxlen=_WINDOW)
        self._high = known.get("high", False)
        self._count = known.get("count", 0)

    def pending(self) -> dict[str, Any]:
        """Returns what a resumed run needs to report the same spikes."""
        return {
            "spikes": {
                "recent": list(self._recent),
                "high": self._high,
                "count": self._count,
            }
        }

    def see(self, step: int, values: Mapping[str, float]) -> None:
        """Implements `Action.see`."""
        if values.get(REFUSED):
            return
        loss, high = values["loss"], False
        if len(self._recent) >= _FEWEST:
            median = statistics.median(self._recent)
            deviation = 1.4826 * statistics.median(
                abs(one - median) for one in self._recent
            )
            height = max(_DEVIATIONS * deviation, _LEAST * abs(median))
            high = loss > median + height
            if high:
                self._count += 1
            if high and not self._high:
                self._say(
                    f"step {step}: the loss jumps to {loss:.4g}; the median of the "
                    f"{len(self._recent)} steps before is {median:.4g}"
                )
        self._high = high
        self._recent.append(loss)

    def run(self, moment: Moment) -> None:
        """Implements `Action.run`."""
        if self._count:
            moment.metrics["loss_spikes"] = float(self._count)
        self._count = 0
