"""The loop around the compiled step: advance, pause where something is due, go on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import tensorflow as tf

from sslkit.checkpoints import Checkpoints
from sslkit.data.service import Service
from sslkit.errors import UserError
from sslkit.source import UNREADABLE, is_of_pipeline
from sslkit.training.actions import Action, Moment
from sslkit.training.interrupt import Interrupt
from sslkit.training.progress import Progress


class Loop:
    """Advances a run and does what is due.

    Args:
        advance: (iterator, inner steps) -> metrics averaged over them.
        batches: the run's batches, from the step it starts at.
        actions: what is done every so many steps, in this order.
        complaint: (first step, step after the last) -> what cannot be read of their
            examples, for the user; None if all can.
        service: makes the batches, and knows why it cannot; None for this process.
        checkpoints: names the last one when the run has to stop.
        views: views in a global batch.
        inner_steps: most steps in one call of `advance`.
        is_chief: whether this process stops the others.
    """

    def __init__(
        self,
        *,
        advance: Callable[[Iterator[Any], tf.Tensor], Mapping[str, tf.Tensor]],
        batches: Iterator[Any],
        actions: Sequence[Action],
        complaint: Callable[[int, int], str | None],
        service: Service | None,
        checkpoints: Checkpoints,
        views: int,
        inner_steps: int,
        is_chief: bool,
    ):
        """Keeps the options; see the class."""
        self._advance = advance
        self._batches = batches
        self._actions = actions
        self._complaint = complaint
        self._service = service
        self._checkpoints = checkpoints
        self._views = views
        self._inner_steps = inner_steps
        self._is_chief = is_chief

    def run(self, *, start: int, stop: int) -> None:
        """Runs the steps from `start` to `stop`.

        A signal stops the chief, once it has saved. Another process takes further
        steps until the chief is gone, for the chief cannot finish its own step alone.

        Raises:
            UserError: if an example cannot be read, the loss is not finite or a
                checkpoint cannot be written.
            KeyboardInterrupt: after a signal, when the state is saved.
        """
        step = start
        with Interrupt() as interrupt, Progress(stop, start) as progress:
            while step < stop:
                inner = min(self._inner_steps, self._next_pause(step, stop) - step)
                values = self._steps(step, inner, interrupt)
                step += inner
                for action in self._actions:
                    action.see(step, values, inner)
                progress.update(step, values, self._views * inner)
                stopping = interrupt.requested is not None and self._is_chief
                found = self._pause(step, stop, stopping)
                if found:
                    progress.update(step, found, 0)
                if interrupt.requested and stopping and step < stop:
                    saved = self._checkpoints.latest()
                    progress.note(f"{interrupt.requested.name}: saved {saved}")
                    raise KeyboardInterrupt

    def _pause(self, step: int, stop: int, stopping: bool) -> Mapping[str, float]:
        """Does what is due at a step; returns what was found."""
        moment = Moment(step)
        for action in self._actions:
            due = action.every is None or step % action.every == 0 or step == stop
            if due or (stopping and action.before_stopping):
                action.run(moment)
        return moment.metrics

    def _steps(self, step: int, inner: int, interrupt: Interrupt) -> dict[str, float]:
        try:
            out = self._advance(self._batches, tf.constant(inner))
        except UNREADABLE as error:
            # Of the steps that were under way alone: an error may have other causes,
            # and the whole of the data may take hours to read.
            complaint = None
            if is_of_pipeline(error):
                complaint = self._complaint(step, step + inner)
            if complaint is None:
                raise
            raise UserError(f"{complaint}.") from error
        except tf.errors.UnknownError as error:
            # How an error in Python comes out of a pipeline.
            if self._service is None or self._service.failure is None:
                raise
            raise UserError(
                f"{self._service.failure}; {self._checkpoints.describe_latest()}."
            ) from error
        except (tf.errors.UnavailableError, tf.errors.AbortedError) as error:
            if interrupt.requested:
                # All were told to stop, and the chief has saved and left.
                raise KeyboardInterrupt from error
            raise UserError(
                "another process of this run is gone. Start the same command again on "
                f"all of them; {self._checkpoints.describe_latest()}."
            ) from error
        return {name: float(value) for name, value in out.items()}

    def _next_pause(self, step: int, stop: int) -> int:
        every = [action.every for action in self._actions if action.every is not None]
        return min(stop, *(step - step % n + n for n in every), stop)
