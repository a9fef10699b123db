"""The actions of a run: what is watched, written and saved while it goes on."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

from sslkit.checkpoints import Checkpoints, Keep, Table, read_note
from sslkit.errors import UserError, did_you_mean
from sslkit.ownership import Owner
from sslkit.training.actions import (
    Action,
    Means,
    Save,
    SaveBest,
    Watch,
    Write,
)
from sslkit.training.numbers import NotFinite
from sslkit.training.reporting import Reporting, Views
from sslkit.training.spikes import Spikes

__all__ = ["check_best", "duties"]


def check_best(keep: Keep, measures: Sequence[Action]) -> None:
    """Refuses a measure for the best checkpoint that nothing in the run computes.

    Args:
        keep: which checkpoints are kept.
        measures: what is measured of the run.

    Raises:
        UserError: naming the measures there are.
    """
    names = [name for measure in measures for name in measure.finds]
    if keep.best is None or keep.best in names:
        return
    raise UserError(
        f"train.keep_best is {keep.best!r}, which this run does not measure. "
        + (
            f"{did_you_mean(keep.best, names)}It measures {', '.join(names)}."
            if names
            else "It measures nothing: bind train.knn_every for 'knn_top1', or leave "
            "train.keep_best out."
        )
    )


@contextlib.contextmanager
def duties(
    checkpoints: Checkpoints,
    *,
    owner: Owner | None,
    table: Table,
    numbers: NotFinite,
    measures: Sequence[Action],
    report: Reporting,
    pictures: Views,
    keep: Keep,
    log_every: int,
    checkpoint_every: int,
) -> Iterator[list[Action]]:
    """Keeps the reporters open, and waits at the end for the last checkpoint.

    Args:
        checkpoints: those of the run's folder.
        owner: this process's claim of the folder; None for all processes except the
            chief, which only watch for steps that are not finite.
        table: what is saved.
        numbers: what is done about a step that is not finite. measures: what is
            measured of the run.
        report: the reporters; opened here.
        pictures: draws the views for them.
        keep: which checkpoints are kept.
        log_every: steps between two lines of metrics.
        checkpoint_every: steps between two checkpoints.

    Yields:
        The actions of the loop, in order.

    Raises:
        UserError: if the last checkpoint cannot be written.
    """
    latest = checkpoints.latest()
    pending = {} if latest is None else read_note(latest)
    numbers.go_on(pending)
    if owner is None:
        yield [numbers]
        return
    means = Means(every=log_every, pending=pending)
    spikes = Spikes(every=log_every, say=report.say, pending=pending)

    def note() -> dict[str, Any]:
        return {**means.pending(), **numbers.pending(), **spikes.pending()}

    save = Save(checkpoints, table, every=checkpoint_every, note=note)
    best = SaveBest(save, checkpoints, measure=keep.best) if keep.best else None
    with report as log:
        try:
            yield [
                Watch(owner),
                numbers,
                means,
                spikes,
                *measures,
                Write(log),
                pictures.to(log),
                *([best] if best else []),
                save,
            ]
        except KeyboardInterrupt:
            # A second signal: whoever sends it does not want to wait.
            raise
        except BaseException:
            with contextlib.suppress(UserError):
                checkpoints.finish()
            raise
        checkpoints.finish()
