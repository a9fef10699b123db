"""How many updates one call to the device makes."""

from __future__ import annotations

_MOST = 10_000  # rows of metrics that the device keeps


class Pace:
    """Chooses so many updates that a call takes about a second.

    Between two calls the host looks for signals and shows the progress. What a run
    computes and reports does not depend on how it is divided into calls.

        pace = Pace()
        steps = pace.steps
        ...
        pace.took(steps, seconds)

    Args:
        fixed: updates per call; None to choose by time.
        seconds: how long a call is to take.
    """

    def __init__(self, fixed: int | None = None, *, seconds: float = 1.0):
        """Keeps the options; see the class."""
        self._fixed = fixed
        self._seconds = seconds
        # The first call compiles; its time is not that of later ones.
        self._warm = False
        self.steps = fixed or 1

    def took(self, steps: int, seconds: float) -> None:
        """Takes the time of a call into account.

        Args:
            steps: updates in the call.
            seconds: its duration, including the time spent waiting for batches.
        """
        if self._fixed is not None:
            return
        if not self._warm:
            self._warm = True
            return
        wanted = steps * self._seconds / max(seconds, 1e-9)
        # A call may be short because something was due, and then tells little: grow
        # slowly.
        self.steps = max(1, min(int(wanted), 4 * max(steps, self.steps), _MOST))
