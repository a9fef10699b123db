"""The loop around the compiled step: advance, pause when something is due, go on.

One call to the device makes updates for about a second, without the host, and returns
the metrics of each. Actions that need only the metrics are run after the call, step by
step, as if there had been a pause at each step. For an action that needs the weights,
the call ends at the step where the action is due.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import tensorflow as tf

from sslkit import programs
from sslkit.checkpoints import Checkpoints
from sslkit.data.service import Service
from sslkit.errors import Lost, Stopped, UserError, first_line
from sslkit.source import UNREADABLE, is_of_pipeline
from sslkit.training.actions import Action, Moment
from sslkit.training.interrupt import Interrupt
from sslkit.training.pace import Pace
from sslkit.training.progress import Progress

Advance = Callable[[int], np.ndarray]
"""Makes some updates; returns the metrics of each, float32 [updates, metrics]."""


class Loop:
    """Advances a run and runs the actions that are due.

    Args:
        prepare: gets the step at which the run starts; returns the function that makes
            updates, which is compiled at its first call.
        metrics: names of the columns that it returns.
        actions: what is done every so many steps, in this order.
        problem: (first step, step after the last) -> a message about the examples of
            these steps that cannot be read; None if all can be read.
        service: makes the batches, and knows why it cannot; None if this process does.
        checkpoints: names the last one when the run has to stop.
        views: views in a global batch.
        inner_steps: the most steps in one call to the device; None for about a second.
        is_chief: whether this process stops the others.
        compiled: whether XLA compiles the step.
    """

    def __init__(
        self,
        *,
        prepare: Callable[[], Advance],
        metrics: Sequence[str],
        actions: Sequence[Action],
        problem: Callable[[int, int], str | None],
        service: Service | None,
        checkpoints: Checkpoints,
        views: int,
        inner_steps: int | None,
        is_chief: bool,
        compiled: bool = False,
    ):
        """Keeps the options; see the class."""
        self._prepare = prepare
        self._metrics = tuple(metrics)
        self._actions = actions
        self._problem = problem
        self._service = service
        self._checkpoints = checkpoints
        self._views = views
        self._inner_steps = inner_steps
        self._is_chief = is_chief
        self._compiled = compiled

    def run(self, *, start: int, stop: int) -> None:
        """Runs the steps from `start` to `stop`.

        A signal stops the chief after it has saved. The other processes take further
        steps until the chief is gone, because it cannot finish its own step alone.

        Raises:
            UserError: if an example cannot be read, the loss is not finite, or a
                checkpoint cannot be written.
            Lost: if another process of the run is gone.
            Stopped: after a signal, when the state is saved.
        """
        step, pace, advance = start, Pace(self._inner_steps), None
        how = "compiling the step (XLA)" if self._compiled else "tracing the step"
        with Interrupt() as interrupt, Progress(stop, start, first=how) as progress:
            while step < stop:
                inner = min(pace.steps, self._next_pause(step, stop) - step)
                began, first = time.monotonic(), advance is None
                if advance is None:
                    advance, rows = self._first(step, inner, interrupt, progress)
                else:
                    rows = self._steps(advance, step, inner, interrupt)
                seconds = time.monotonic() - began
                pace.took(inner, seconds)
                for action in self._actions:
                    action.took(0 if first else inner, 0.0 if first else seconds)
                for place, values in enumerate(rows, start=step + 1):
                    for action in self._actions:
                        action.see(place, values)
                    if place < step + inner:
                        self._do(place, stop, stays=False)
                step += inner
                progress.update(step, rows[-1], self._views * inner)
                stopping = interrupt.requested is not None and self._is_chief
                found = self._do(step, stop, stays=True, stopping=stopping)
                # A report has means of several steps under the same names.
                measured = {k: v for k, v in found.items() if k not in self._metrics}
                if measured:
                    progress.update(step, measured, 0)
                if interrupt.requested and stopping:
                    raise Stopped(
                        f"stopped by {interrupt.requested.name} at step {step}; "
                        f"{self._checkpoints.describe_latest()}"
                    )

    def _do(
        self, step: int, stop: int, *, stays: bool, stopping: bool = False
    ) -> Mapping[str, float]:
        """Runs the actions that are due at a step; returns what they measured.

        Args:
            step: updates done.
            stop: updates of the whole run.
            stays: whether the weights are those of this step.
            stopping: whether a signal stops the run here.
        """
        moment = Moment(step, last=stopping or step == stop)
        for action in self._actions:
            due = action.is_due(step) or step == stop
            due = due and (stays or not action.needs_state)
            if due or (stopping and action.before_stopping):
                action.run(moment)
        return moment.metrics

    def _first(
        self, step: int, inner: int, interrupt: Interrupt, progress: Progress
    ) -> tuple[Advance, list[dict[str, float]]]:
        """Makes the first updates, which traces and compiles them."""
        advance = self._prepare()
        try:
            rows = self._steps(advance, step, inner, interrupt)
        except tf.errors.OpError as error:
            # A program from the cache may not fit this machine after all. Either the
            # error came before it ran, or it ran out of memory.
            again = not isinstance(error, tf.errors.ResourceExhaustedError)
            if not (again and self._compiled and programs.forget()):
                raise
            progress.note(
                "the compiled program from the cache cannot be used "
                f"({first_line(error)}); compiling again"
            )
            advance = self._prepare()
            rows = self._steps(advance, step, inner, interrupt)
        if self._compiled:
            programs.keep()
        return advance, rows

    def _steps(
        self, advance: Advance, step: int, inner: int, interrupt: Interrupt
    ) -> list[dict[str, float]]:
        """Makes some updates; returns the metrics of each."""
        try:
            rows = advance(inner).tolist()
        except UNREADABLE as error:
            # Only the examples of these steps are read: an error may have other causes,
            # and reading all of the data may take hours.
            problem = None
            if is_of_pipeline(error):
                problem = self._problem(step, step + inner)
            if problem is None:
                raise
            raise UserError(f"{problem}.") from error
        except tf.errors.UnknownError as error:
            # tf.data turns an error in Python into this one.
            if self._service is None or self._service.failure is None:
                raise
            raise UserError(
                f"{self._service.failure}; {self._checkpoints.describe_latest()}."
            ) from error
        except (tf.errors.UnavailableError, tf.errors.AbortedError) as error:
            if interrupt.requested:
                # All processes were told to stop, and the chief has saved and ended.
                name = interrupt.requested.name
                raise Stopped(f"stopped by {name}, after the first process") from error
            raise Lost(
                "another process of this run is gone. Start the same command again on "
                f"all of them; {self._checkpoints.describe_latest()}."
            ) from error
        return [dict(zip(self._metrics, row, strict=True)) for row in rows]

    def _next_pause(self, step: int, stop: int) -> int:
        every = [
            action.every
            for action in self._actions
            if action.every is not None and action.needs_state
        ]
        return min(stop, *(step - step % n + n for n in every), stop)
