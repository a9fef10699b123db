"""Running a training run, from its last checkpoint to its end."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import tensorflow as tf

from sslkit import programs
from sslkit.checkpoints import Checkpoints
from sslkit.data.batches import training_draws, training_indices
from sslkit.errors import Rewound
from sslkit.ownership import Owner
from sslkit.randomness import step_seed
from sslkit.training.actions import Action
from sslkit.training.agreement import check_agreement
from sslkit.training.continuing import changed_since, remember
from sslkit.training.duties import check_best, duties
from sslkit.training.health import Health
from sslkit.training.labels import check_labels
from sslkit.training.loop import Advance, Loop
from sslkit.training.machine import Machine
from sslkit.training.numbers import NotFinite, Rewinds
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
        measures: what the chief measures while the run goes on.
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
        if training.data.opened("test") is not None:
            for line in changed_since(workdir, training.data, ["test"]):
                say(f"note: {line}")
        remember(workdir, training.data, training.steps, extend=extend)
    rewinds = Rewinds()
    while True:
        try:
            return _go_on(
                training, workdir, say, measures, checkpoints, rewinds, owner=owner
            )
        except Rewound as back:
            say(str(back))
            # All processes wait until the chief has finished writing.
            check_agreement(training.runner.strategy, 0)


def _go_on(
    training: Training,
    workdir: Workdir,
    say: Callable[[str], None],
    measures: Sequence[Action],
    checkpoints: Checkpoints,
    rewinds: Rewinds,
    *,
    owner: Owner | None,
) -> bool:
    """Goes on from the last checkpoint; returns whether any update was left to do.

    Raises:
        Rewound: if the run goes back to a checkpoint, and this is to be called again.
    """
    start = _start(training, checkpoints, say)
    check_agreement(training.runner.strategy, start)
    if start >= training.steps:
        return False
    step = training.train_step(leave_out=rewinds.left_out)
    assert step.guard is not None, "a run is guarded"
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
        numbers=NotFinite(
            training.on_nonfinite,
            step.guard,
            checkpoints,
            rewinds=rewinds,
            workdir=workdir.path,
            record=None
            if owner is None
            else functools.partial(_record, training, workdir),
            say=say if owner is not None else lambda line: None,
        ),
        measures=[*measures, machine, *_health(training, machine, say)],
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
            problem=functools.partial(_problem, training),
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


def _health(
    training: Training, machine: Machine, say: Callable[[str], None]
) -> list[Action]:
    """Returns the action that checks the run's health, if the run has one."""
    if not training.health_every:
        return []
    return [
        Health(
            training.objective,
            training.source,
            training.augmentation,
            every=training.health_every,
            share=training.batch_size // training.runner.strategy.num_replicas_in_sync,
            seed=training.seed,
            machine=machine,
            say=say,
        )
    ]


def _record(
    training: Training, workdir: Workdir, step: int, known: Mapping[str, Any]
) -> str:
    """Writes a bad step down, with its examples and seeds; returns the path."""
    drawn = training_draws(
        training.source,
        step - 1,
        seed=training.seed,
        batch_size=training.batch_size,
    )
    made_of = {
        "seed": training.seed,
        "step_seed": step_seed(training.seed, step - 1).numpy().tolist(),
        "examples": [draw.example for draw in drawn],
        "epochs": [draw.epoch for draw in drawn],
        "example_seeds": [draw.seed for draw in drawn],
    }
    return workdir.write_bad_step(step, {**known, **made_of})


def _start(
    training: Training, checkpoints: Checkpoints, say: Callable[[str], None]
) -> int:
    """Restores or initialises the state; returns the step where the run goes on."""
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
    """Returns the function that makes updates from a step on; nothing is traced yet."""
    batches = machine.timing(
        training.runner.iterate(functools.partial(training.batches, start))
    )
    programs.steady_names()
    advance = training.runner.compile(step, step.metrics)
    return lambda steps: advance(batches, tf.constant(steps)).numpy()


def _problem(training: Training, first: int, last: int) -> str | None:
    """Returns which examples of some steps cannot be read; None if all can."""
    return training.source.problem(
        training_indices(
            training.source,
            first,
            last,
            seed=training.seed,
            batch_size=training.batch_size,
        )
    )
