"""The loop around the compiled step, and what happens every so many steps."""

from __future__ import annotations

import contextlib
import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import tensorflow as tf

from sslkit.api import UserError
from sslkit.data.service import Service
from sslkit.data.sources import UNREADABLE, Source
from sslkit.report.metrics import MetricsLog
from sslkit.report.progress import Progress
from sslkit.train.checkpoints import Checkpoints
from sslkit.train.interrupt import Interrupt
from sslkit.train.state import TrainState


class Loop:
    """Advances a run and does what is due: metrics, kNN, checkpoints.

    Args:
        advance: (iterator, inner steps) -> metrics averaged over them.
        batches: the run's batches, from the step it starts at.
        state: what is saved.
        source: names the example when one cannot be read.
        service: makes the batches, and knows why it cannot; None for this process.
        checkpoints: where the state goes.
        probe: returns kNN top-1 of the encoder, or None for no probe.
        views: views in a global batch.
        log_every: steps between lines of metrics.
        checkpoint_every: steps between checkpoints; the last step has one too.
        knn_every: steps between probes, where there is a probe.
        inner_steps: most steps in one call of `advance`.
        is_chief: whether this process writes files.
    """

    def __init__(
        self,
        *,
        advance: Callable[[Iterator[Any], tf.Tensor], Mapping[str, tf.Tensor]],
        batches: Iterator[Any],
        state: TrainState,
        source: Source,
        service: Service | None,
        checkpoints: Checkpoints,
        probe: Callable[[], float] | None,
        views: int,
        log_every: int,
        checkpoint_every: int,
        knn_every: int,
        inner_steps: int,
        is_chief: bool,
    ):
        """Keeps the options; see the class."""
        self._advance = advance
        self._batches = batches
        self._state = state
        self._source = source
        self._service = service
        self._checkpoints = checkpoints
        self._views = views
        self._every = {"log": log_every, "checkpoint": checkpoint_every}
        # It involves no other process, and only the chief reports it.
        self._probe = probe if is_chief else None
        if self._probe is not None:
            self._every["knn"] = knn_every
        self._inner_steps = inner_steps
        self._is_chief = is_chief

    def run(self, workdir: str, *, start: int, stop: int) -> None:
        """Runs the steps from `start` to `stop`.

        A signal stops the chief, once it has saved. Another process takes further
        steps until the chief is gone, for the chief cannot finish its own step alone.

        Raises:
            UserError: if an example cannot be read, the loss is not finite or a
                checkpoint cannot be written.
            KeyboardInterrupt: after a signal, when the state is saved.
        """
        step, metrics = start, _Means()
        with (
            Interrupt() as interrupt,
            self._log(workdir, start) as log,
            Progress(stop, start) as progress,
        ):
            while step < stop:
                inner = min(self._inner_steps, self._next_stop(step, stop) - step)
                values = self._steps(step, inner, interrupt)
                step += inner
                metrics.add(values, inner)
                progress.update(step, values, self._views * inner)
                due: dict[str, float] = {}
                if self._due("log", step, stop):
                    due, metrics = metrics.values(), _Means()
                if self._probe is not None and self._due("knn", step, stop):
                    due["knn_top1"] = self._probe()
                    progress.update(step, due, 0)
                if due and log is not None:
                    log.write(step, due)
                stopping = interrupt.requested is not None and self._is_chief
                if self._due("checkpoint", step, stop) or stopping:
                    saved = self._save(step)
                    if interrupt.requested and stopping and step < stop:
                        progress.note(f"{interrupt.requested.name}: saved {saved}")
                        raise KeyboardInterrupt

    def _log(
        self, workdir: str, start: int
    ) -> contextlib.AbstractContextManager[MetricsLog | None]:
        if not self._is_chief:
            return contextlib.nullcontext()
        return MetricsLog(workdir, start)

    def _steps(self, step: int, inner: int, interrupt: Interrupt) -> dict[str, float]:
        try:
            out = self._advance(self._batches, tf.constant(inner))
        except UNREADABLE as error:
            complaint = self._source.complaint()
            if complaint is None:
                raise
            raise UserError(f"{complaint}.") from error
        except tf.errors.UnknownError as error:
            # How an error in Python comes out of a pipeline.
            if self._service is None or self._service.failure is None:
                raise
            raise UserError(
                f"{self._service.failure}; {self._last_checkpoint()}."
            ) from error
        except (tf.errors.UnavailableError, tf.errors.AbortedError) as error:
            if interrupt.requested:
                # All were told to stop, and the chief has saved and left.
                raise KeyboardInterrupt from error
            raise UserError(
                "another process of this run is gone. Start the same command again on "
                f"all of them; {self._last_checkpoint()}."
            ) from error
        values = {name: float(value) for name, value in out.items()}
        # A gradient that is not finite spoils the weights one step before the loss
        # shows it, and a checkpoint of them would be no use.
        for what in ("loss", "gradient_norm"):
            if not math.isfinite(values[what]):
                raise UserError(
                    f"the {what.replace('_', ' ')} is {values[what]} at step "
                    f"{step + inner}. Lower the learning rate or raise the "
                    f"temperature; {self._last_checkpoint()}."
                )
        return values

    def _last_checkpoint(self) -> str:
        latest = self._checkpoints.latest()
        return f"the last checkpoint is {latest}" if latest else "no checkpoint exists"

    def _next_stop(self, step: int, stop: int) -> int:
        return min(stop, *(step - step % n + n for n in self._every.values()))

    def _due(self, what: str, step: int, stop: int) -> bool:
        every = self._every.get(what)
        return every is not None and (step % every == 0 or step == stop)

    def _save(self, step: int) -> str:
        if not self._is_chief:
            return ""
        return self._checkpoints.save(self._state.table, step=step)


class _Means:
    """Running means of metrics between two lines."""

    def __init__(self) -> None:
        self._sums: dict[str, float] = defaultdict(float)
        self._count = 0

    def add(self, values: Mapping[str, float], count: int) -> None:
        for name, value in values.items():
            self._sums[name] += value * count
        self._count += count

    def values(self) -> dict[str, float]:
        return {name: total / self._count for name, total in self._sums.items()}
