"""The course of a run: from its last checkpoint to its end."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import tensorflow as tf

from sslkit import programs
from sslkit.checkpoints import Checkpoints
from sslkit.data.batches import training_indices
from sslkit.ownership import Owner
from sslkit.training.actions import Action
from sslkit.training.agreement import check_agreement
from sslkit.training.continuing import remember
from sslkit.training.duties import check_best, duties
from sslkit.training.labels import check_labels
from sslkit.training.loop import Advance, Loop
from sslkit.training.machine import Machine
from sslkit.training.reporting import Views
from sslkit.training.step import TrainStep
from sslkit.workdir import Workdir

if TYPE_CHECKING:
    from sslkit.training.run import Training


def to_the_end(
    training: Training,
    workdir: Workdir,
    say: Callable[[str], None],
    measures: Sequence[Action],
    *,
    extend: bool,
    owner: Owner | None,
) -> bool:
    """Trains to the end, going on from the last checkpoint; see `Training.run`.

    Args:
        training: what the run is made of.
        workdir: where checkpoints and metrics go; already claimed.
        say: prints a line for the user.
        measures: what the chief finds out about the run while it goes on.
        extend: whether the run goes on with other data, or for longer.
        owner: the chief's claim of the folder; None for all other processes.

    Returns:
        Whether any update was left to do.
    """
    guard = None
    if owner is not None:
        check_best(training.keep, measures)
        guard = owner.confirm
    checkpoints = Checkpoints(workdir.checkpoints, keep=training.keep, guard=guard)
    check_labels(training.objective, training.source, training.labels)
    for line in training.describe():
        say(line)
    training.check_continuing(workdir, extend=extend, say=say)
    if training.runner.is_chief:
        remember(workdir, training.source, training.steps)
    start = _start(training, checkpoints, say)
    check_agreement(training.runner.strategy, start)
    if start >= training.steps:
        return False
    step = training.step()
    if training.runner.jit:
        say(f"XLA compiles the step; its programs are {programs.place()}")
    views = sum(group.count for group in training.augmentation.groups.values())
    machine = Machine(
        training.log_every, training.batch_size * views, training.runner.strategy
    )
    with duties(
        checkpoints,
        owner=owner,
        table=training.state.table,
        measures=[*measures, machine],
        report=training.reporting(workdir, start, say),
        pictures=Views(
            training.source, training.augmentation, seed=training.seed, start=start
        ),
        keep=training.keep,
        log_every=training.log_every,
        checkpoint_every=training.checkpoint_every,
    ) as actions:
        loop = Loop(
            prepare=lambda: _prepared(training, step, start, machine),
            metrics=step.metrics,
            actions=actions,
            complaint=functools.partial(_complaint, training),
            service=training.data.connection,
            checkpoints=checkpoints,
            views=training.batch_size * views,
            inner_steps=training.inner_steps,
            is_chief=training.runner.is_chief,
            compiled=training.runner.jit,
        )
        try:
            loop.run(start=start, stop=training.steps)
        finally:
            for line in training.data.skipped():
                say(line)
    return True


def _start(
    training: Training, checkpoints: Checkpoints, say: Callable[[str], None]
) -> int:
    """Brings the state to where the run goes on; returns its step."""
    latest = checkpoints.restore_latest(
        training.state.table, say=say, mend=training.runner.is_chief
    )
    if latest is not None:
        start = int(training.state.step.numpy())
        if start < training.steps:
            say(f"resuming at step {start} from {latest}")
        return start
    set_ = training.initialize()
    if set_ is not None:
        say(set_)
    return 0


def _prepared(
    training: Training, step: TrainStep, start: int, machine: Machine
) -> Advance:
    """Returns what makes updates from a step on; nothing is traced yet."""
    batches = machine.timing(
        training.runner.iterate(functools.partial(training.batches, start))
    )
    programs.steady_names()
    advance = training.runner.compile(step, step.metrics)
    return lambda steps: advance(batches, tf.constant(steps)).numpy()


def _complaint(training: Training, first: int, last: int) -> str | None:
    """Says which examples of some steps cannot be read; None if all can."""
    return training.source.complaint(
        training_indices(
            training.source,
            first,
            last,
            seed=training.seed,
            batch_size=training.batch_size,
        )
    )
