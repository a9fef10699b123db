"""What a run does at intervals of steps, between two updates."""

from __future__ import annotations

import abc
import dataclasses
import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from sslkit.checkpoints import Checkpoints, Table
from sslkit.ownership import Owner
from sslkit.reporter import Setting
from sslkit.training.guard import REFUSED


@dataclasses.dataclass
class Moment:
    """A place between two updates."""

    step: int
    """Updates done."""
    metrics: dict[str, float] = dataclasses.field(default_factory=dict)
    """What earlier actions have measured at this step: name -> number."""
    machine: dict[str, Setting] = dataclasses.field(default_factory=dict)
    """Measures that differ from one repetition of a run to the next, such as speed."""
    last: bool = False
    """Whether the run ends here: at its last step, or because of a signal."""


class Action(abc.ABC):
    """Something that is done at an interval of steps, and after the last step.

    The loop runs the actions that are due in the order in which they were given to
    it, so that one may use what another has found.

    Attributes:
        every: steps from one time that it is due to the next. None means at every step,
            or at every pause if it needs the state.
        needs_state: whether it reads the weights or other state of the run. The device
            stops for such an action when it is due. An action that needs only the
            metrics is run when they are fetched, up to a second later.
        before_stopping: whether it is also due when a signal stops the run.
        finds: names of the measures that it adds to a moment's metrics.
    """

    every: int | None = None
    needs_state: bool = True
    before_stopping: bool = False
    finds: Sequence[str] = ()

    def see(self, step: int, values: Mapping[str, float]) -> None:
        """Receives the metrics of each step, in order, before what is due there is run.

        Args:
            step: updates done.
            values: name -> number.
        """
        del step, values

    def took(self, steps: int, seconds: float) -> None:
        """Receives the time of a call to the device, before the metrics of its steps.

        Args:
            steps: updates in the call; 0 for the first call, which compiles.
            seconds: duration of the call.
        """
        del steps, seconds

    def is_due(self, step: int) -> bool:
        """Returns whether it is due after `step` updates; the end is not considered."""
        return self.every is None or step % self.every == 0

    @abc.abstractmethod
    def run(self, moment: Moment) -> None:
        """Does what is due.

        Args:
            moment: the step; what is found is added to its metrics.
        """


class Means(Action):
    """Averages the step's metrics over the steps between two reports.

    Refused steps are left out of the means; if there were any, `refused_steps` is their
    number.

    Args:
        every: steps between them.
        pending: what `pending` returned when this run was last saved. With it, a report
            covers the same steps whether or not the run was stopped in between.
    """

    needs_state = False

    def __init__(self, *, every: int, pending: Mapping[str, Any] | None = None):
        """Keeps the options; see the class."""
        self.every = every
        self._clear()
        if pending:
            self._sums |= pending.get("sums", {})
            self._count = pending.get("count", 0)
            self._refused = pending.get("refused", 0)

    def pending(self) -> dict[str, Any]:
        """Returns what was seen since the last report: the sums and their count."""
        found: dict[str, Any] = {}
        if self._count:
            found |= {"count": self._count, "sums": dict(self._sums)}
        if self._refused:
            found["refused"] = self._refused
        return found

    def see(self, step: int, values: Mapping[str, float]) -> None:
        """Implements `Action.see`."""
        if values.get(REFUSED):
            self._refused += 1
            return
        for name, value in values.items():
            if name != REFUSED:
                self._sums[name] += value
        self._count += 1

    def run(self, moment: Moment) -> None:
        """Implements `Action.run`."""
        moment.metrics |= {n: total / self._count for n, total in self._sums.items()}
        if self._refused:
            moment.metrics["refused_steps"] = float(self._refused)
        self._clear()

    def _clear(self) -> None:
        self._sums: defaultdict[str, float] = defaultdict(float)
        self._count = 0
        self._refused = 0


class Measure(Action):
    """Measures something of the run, such as the kNN accuracy of its encoder.

    Args:
        measure: returns name -> number.
        every: steps between two measurements.
        finds: the names that it returns.
    """

    def __init__(
        self,
        measure: Callable[[], Mapping[str, float]],
        *,
        every: int,
        finds: Sequence[str] = (),
    ):
        """Keeps the options; see the class."""
        self.every = every
        self.finds = tuple(finds)
        self._measure = measure

    def run(self, moment: Moment) -> None:
        """Implements `Action.run`."""
        moment.metrics |= self._measure()


class Log(Protocol):
    """Receives what a run reports, such as `Reporting` or one `MetricsLog`."""

    def write(
        self, step: int, metrics: Mapping[str, float], machine: Mapping[str, Setting]
    ) -> None:
        """Receives numbers."""


class Write(Action):
    """Writes what the earlier actions have measured, if there is anything.

    Args:
        log: the run's record.
    """

    needs_state = False

    def __init__(self, log: Log):
        """Keeps the options; see the class."""
        self._log = log

    def run(self, moment: Moment) -> None:
        """Implements `Action.run`."""
        if moment.metrics:
            self._log.write(moment.step, moment.metrics, moment.machine)


class Watch(Action):
    """Stops a run if another process has taken over its folder.

    Args:
        owner: this process's claim of the folder.
    """

    needs_state = False

    def __init__(self, owner: Owner):
        """Keeps the options; see the class."""
        self._owner = owner

    def took(self, steps: int, seconds: float) -> None:
        """Implements `Action.took`."""
        self._owner.check()

    def run(self, moment: Moment) -> None:
        """Implements `Action.run`; there is nothing left to do."""


class Save(Action):
    """Saves checkpoints; the run goes on while they are written.

    If a checkpoint cannot be written, the run stops at its next step. At its end the
    run waits for the last checkpoint.

    Args:
        checkpoints: where they go.
        table: what is saved.
        every: steps between two checkpoints.
        note: returns what is kept beside each checkpoint; see `Checkpoints.save`.
    """

    every: int
    before_stopping = True

    def __init__(
        self,
        checkpoints: Checkpoints,
        table: Table,
        *,
        every: int,
        note: Callable[[], Mapping[str, Any]] = dict,
    ):
        """Keeps the options; see the class."""
        self.every = every
        self._checkpoints = checkpoints
        self._table = table
        self._note = note

    def took(self, steps: int, seconds: float) -> None:
        """Implements `Action.took`."""
        self._checkpoints.check()

    def run(self, moment: Moment) -> None:
        """Implements `Action.run`."""
        self._checkpoints.save_in_background(
            self._table,
            step=moment.step,
            note=self._note(),
            measures=moment.metrics,
        )
        if moment.last:
            self._checkpoints.finish()


class SaveBest(Action):
    """Saves a checkpoint when a measure is at least as high as at all that are kept.

    So the best step is kept, even if measuring is more frequent than saving.

    Args:
        save: saves a checkpoint.
        checkpoints: know the best of those that are kept.
        measure: the measure's name; the higher the better.
    """

    def __init__(self, save: Save, checkpoints: Checkpoints, *, measure: str):
        """Keeps the options; see the class."""
        self._save = save
        self._checkpoints = checkpoints
        self._measure = measure

    def run(self, moment: Moment) -> None:
        """Implements `Action.run`."""
        found = moment.metrics.get(self._measure, math.nan)
        saved_anyway = moment.last or moment.step % self._save.every == 0
        if saved_anyway or not math.isfinite(found):
            return
        best = self._checkpoints.best()
        if best is None or found >= best.measures[self._measure]:
            self._save.run(moment)
