"""How fast the host makes views, how fast the model takes them, and what costs time."""

from __future__ import annotations

import functools
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple, get_args

import tensorflow as tf

from sslkit import programs
from sslkit.data.batches import TrainingBatch
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

    timed = _Timed(training, training.train_step(), kept, seconds)
    (model,) = _in_turn([timed], seconds)
    return Throughput(host=host, model=views / model)


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
    ends before it: each is compiled on its own. They take turns, so that a busy machine
    slows them alike, and the median counts.

    Args:
        training: what to run. Its weights move, but nothing is written.
        seconds: how long each of them is measured, after it was compiled.
        say: is told what is being measured, which may take minutes to compile.
    """
    replicas = training.runner.strategy.num_replicas_in_sync
    batches = _host_batches(training)
    kept = [next(batches) for _ in range(replicas)]
    del batches  # what it reads ahead would slow the rest
    timed = []
    for part in get_args(Part):
        say(f"preparing the step as far as {part}")
        step = functools.partial(training.train_step().through, part)
        timed.append(_Timed(training, step, kept, seconds))
    say("preparing the step with the host's batches")
    timed.append(_Timed(training, training.train_step(), None, seconds))
    *taken, run = _in_turn(timed, seconds)
    parts: dict[Part, float] = {}
    before = 0.0
    for part, so_far in zip(get_args(Part), taken, strict=True):
        # A part that takes next to nothing may come out below it.
        parts[part] = max(0.0, so_far - before)
        before = max(before, so_far)
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


class _Timed:
    """A step that is run again and again, as a run does: many in one call.

    Args:
        training: whose runner is used.
        step: a step, or the first parts of one.
        kept: a global batch that is given to it each time; None for what the host
            makes.
        seconds: how long it is measured in all.
    """

    def __init__(
        self,
        training: Training,
        step: Callable[..., dict[str, tf.Tensor]],
        kept: list[TrainingBatch] | None,
        seconds: float,
    ):
        """Compiles it and makes two steps, to know how long one takes."""
        make = functools.partial(training.batches, 0)
        self._iterate = lambda: training.runner.iterate(
            make if kept is None else lambda _: _repeated(kept)
        )
        self._limit = training.steps if kept is None else sys.maxsize
        self._left = self._limit
        self._pace = Pace(seconds=min(1.0, seconds / 2))
        self._batches = self._iterate()
        # The names that a run's step has, whose program may be kept.
        programs.steady_names()
        self._advance = training.runner.compile(step, ["loss"])
        for _ in range(2):
            self.turn()
        programs.keep()

    def turn(self) -> float:
        """Returns what a step took in one more call."""
        if not self._left:
            self._left, self._batches = self._limit, self._iterate()
        steps = min(self._pace.steps, self._left)
        self._left -= steps
        start = time.perf_counter()
        # Reading a number waits for the device.
        self._advance(self._batches, tf.constant(steps)).numpy()
        taken = time.perf_counter() - start
        self._pace.took(steps, taken)
        return taken / steps


def _in_turn(timed: Sequence[_Timed], seconds: float) -> list[float]:
    """Returns the median time of each one's step, each measured for some seconds."""
    rounds: list[list[float]] = []
    start = time.perf_counter()
    while not rounds or time.perf_counter() - start < seconds * len(timed):
        rounds.append([one.turn() for one in timed])
    return [statistics.median(values) for values in zip(*rounds, strict=True)]


def _repeated(kept: list[TrainingBatch]) -> tf.data.Dataset:
    stacked = tf.nest.map_structure(lambda *parts: tf.stack(parts), *kept)
    return tf.data.Dataset.from_tensor_slices(stacked).cache().repeat()
