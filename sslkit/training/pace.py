"""How many updates one call to the device makes."""

from __future__ import annotations

_MOST = 10_000  # rows of metrics that the device keeps


class Pace:
    """Chooses so many updates that a call takes about a second.

    In a call the host waits for nothing; between two it looks for signals and shows
    where the run is. What a run computes and reports does not depend on how it is cut
    into calls.

        pace = Pace()
        steps = pace.steps
        ...
        pace.took(steps, seconds)

    Args:
        fixed: updates in each call; None to follow the clock.
        seconds: how long a call is to take.
    """

    def __init__(self, fixed: int | None = None, *, seconds: float = 1.0):
        """Keeps the options; see the class."""
        self._fixed = fixed
        self._seconds = seconds
        # The first call compiles, and says nothing of those to come.
        self._warm = False
        self.steps = fixed or 1

    def took(self, steps: int, seconds: float) -> None:
        """Is told what a call took.

        Args:
            steps: updates that it made.
            seconds: how long it took, waiting for batches included.
        """
        if self._fixed is not None:
            return
        if not self._warm:
            self._warm = True
            return
        wanted = steps * self._seconds / max(seconds, 1e-9)
        # A call that was short, because something was due, tells little: grow slowly.
        self.steps = max(1, min(int(wanted), 4 * max(steps, self.steps), _MOST))
