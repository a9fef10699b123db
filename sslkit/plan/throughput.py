"""How fast the host makes views, how fast the model takes them, and what costs time."""

from __future__ import annotations

import functools
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple, get_args

import tensorflow as tf

from sslkit.data.batches import TrainingBatch
from sslkit.errors import UserError
from sslkit.training.pace import Pace
from sslkit.training.run import Training
from sslkit.training.step import Part

__all__ = ["Shares", "Throughput", "host_rate", "measure", "shares"]


class Throughput(NamedTuple):
    """Views a second."""

    host: float
    """What the host reads and makes with all its cores, while nothing takes them."""
    model: float
    """What the training step takes, its share of the augmentation included, when the
    same batch is given to it again and again."""

    @property
    def bottleneck(self) -> str:
        """Returns what sets the pace, `host` or `model`."""
        return "host" if self.host < self.model else "model"


def measure(training: Training, *, seconds: float) -> Throughput:
    """Runs the two halves of a training apart, each for about `seconds`.

    The weights move, but nothing is written.

    Args:
        training: what to run.
        seconds: how long each half is measured, after a warm-up.
    """
    views = _views(training)
    replicas = training.runner.strategy.num_replicas_in_sync
    batches = _host_batches(training)
    kept: list[TrainingBatch] = [next(batches) for _ in range(replicas)]
    del batches  # what it reads ahead would slow the rest
    host = host_rate(training, seconds=seconds)

    model = 1 / _seconds_a_step(training, training.step(), kept, seconds)
    return Throughput(host=host, model=model * views)


class Shares(NamedTuple):
    """Where the time of one step goes, in seconds."""

    parts: Mapping[Part, float]
    """What each part of a step takes on the device, on a batch that lies there."""
    run: float
    """What a step of a run takes, with the batches that the host makes."""
    views: int
    """Views in a global batch."""

    @property
    def step(self) -> float:
        """Returns what the parts take together."""
        return sum(self.parts.values())

    @property
    def waiting(self) -> float:
        """Returns how long the device waits for the host in each step of a run."""
        return max(0.0, self.run - self.step)


def shares(
    training: Training,
    *,
    seconds: float,
    say: Callable[[str], None] = lambda line: None,
) -> Shares:
    """Measures what the parts of a training step take.

    A part's time is that of the step which ends with it, less that of the step which
    ends before it: each is compiled and run on its own.

    Args:
        training: what to run. Its weights move, but nothing is written.
        seconds: how long each of them is measured, after it was compiled.
        say: is told what is being measured, which may take minutes to compile.

    Raises:
        UserError: if the run has one step alone.
    """
    if training.steps < 2:
        raise UserError("train.steps is 1; to be measured a run has 2 steps or more.")
    replicas = training.runner.strategy.num_replicas_in_sync
    batches = _host_batches(training)
    kept = [next(batches) for _ in range(replicas)]
    del batches  # what it reads ahead would slow the rest
    parts: dict[Part, float] = {}
    before = 0.0
    for part in get_args(Part):
        say(f"measuring the step as far as {part}")
        step = functools.partial(training.step().__call__, until=part)
        taken = _seconds_a_step(training, step, kept, seconds)
        # A part that takes next to nothing may come out below it.
        parts[part] = max(0.0, taken - before)
        before = max(before, taken)
    say("measuring the step with the host's batches")
    run = _seconds_a_step(training, training.step(), None, seconds)
    return Shares(parts=parts, run=run, views=_views(training))


def host_rate(training: Training, *, seconds: float) -> float:
    """Measures the views a second that the host reads and makes with all its cores.

    Args:
        training: what to run.
        seconds: how long, after a first batch.
    """
    replicas = training.runner.strategy.num_replicas_in_sync
    batches = _host_batches(training)
    return _rate(lambda: next(batches), seconds) * _views(training) / replicas


def _views(training: Training) -> int:
    groups = training.augmentation.groups.values()
    return training.batch_size * sum(group.count for group in groups)


def _host_batches(training: Training) -> Iterator[TrainingBatch]:
    replicas = training.runner.strategy.num_replicas_in_sync
    return iter(training.batches(0, tf.distribute.InputContext(1, 0, replicas)))


def _rate(work: Callable[[], object], seconds: float) -> float:
    """Returns how often `work` runs in a second."""
    work()
    count, start = 0, time.perf_counter()
    while (spent := time.perf_counter() - start) < seconds or not count:
        work()
        count += 1
    return count / spent


def _seconds_a_step(
    training: Training,
    step: Callable[..., dict[str, tf.Tensor]],
    kept: list[TrainingBatch] | None,
    seconds: float,
) -> float:
    """Returns what one step takes, as a run makes them: many in one call.

    Args:
        training: whose runner is used.
        step: a step, or the first parts of one.
        kept: a global batch that is given to it again and again; None for what the
            host makes.
        seconds: how long to measure.
    """
    runner = training.runner
    make = functools.partial(training.batches, 0)
    batches = runner.iterate(make if kept is None else lambda _: _repeated(kept))
    advance = runner.compile(step, ["loss"])
    pace = Pace(seconds=min(1.0, seconds / 2))
    left = training.steps if kept is None else sys.maxsize
    made, spent, warm = 0, 0.0, False
    while left and spent < seconds:
        steps = min(pace.steps, left)
        start = time.perf_counter()
        # Reading a number waits for the device.
        advance(batches, tf.constant(steps)).numpy()
        taken = time.perf_counter() - start
        pace.took(steps, taken)
        if warm:  # the first call compiles
            made, spent = made + steps, spent + taken
        warm, left = True, left - steps
    return spent / made


def _repeated(kept: list[TrainingBatch]) -> tf.data.Dataset:
    stacked = tf.nest.map_structure(lambda *parts: tf.stack(parts), *kept)
    return tf.data.Dataset.from_tensor_slices(stacked).cache().repeat()
