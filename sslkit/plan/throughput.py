"""How fast the host makes views and the model takes them, and where the time goes."""

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
    """Views per second."""

    host: float
    """Views that the host makes with all its cores, while no training step runs."""
    model: float
    """Views that the training step takes when it gets the same batch each time. If a
    part of the augmentation runs on the device, that is included."""

    @property
    def bottleneck(self) -> str:
        """The slower of the two, `host` or `model`."""
        return "host" if self.host < self.model else "model"


def measure(training: Training, *, seconds: float) -> Throughput:
    """Runs the host and the training step separately, each for about `seconds`.

    The weights change, but nothing is written.

    Args:
        training: the run to measure.
        seconds: how long to measure each of the two, after a warm-up.
    """
    views = _views(training)
    replicas = training.runner.strategy.num_replicas_in_sync
    batches = _host_batches(training)
    kept: list[TrainingBatch] = [next(batches) for _ in range(replicas)]
    del batches  # it reads ahead, which would slow down the measurements
    host = host_rate(training, seconds=seconds)

    timed = _Timed(training, training.train_step(), kept, seconds)
    (model,) = _in_turn([timed], seconds)
    return Throughput(host=host, model=views / model)


class Shares(NamedTuple):
    """Where the time of one step goes, in seconds."""

    parts: Mapping[Part, float]
    """The time of each part of a step, for a batch that is on the device already."""
    run: float
    """The time of a step of a run, with the batches that the host makes."""
    views: int
    """Views per global batch."""

    @property
    def step(self) -> float:
        """The time of all parts together."""
        return sum(self.parts.values())

    @property
    def waiting(self) -> float:
        """How long the device waits for the host in each step of a run."""
        return max(0.0, self.run - self.step)


def shares(
    training: Training,
    *,
    seconds: float,
    say: Callable[[str], None] = lambda line: None,
) -> Shares:
    """Measures the time of each part of a training step.

    For each part, a step that ends after that part is compiled. The part's time is the
    time of that step, less the time of the step that ends just before the part. The
    steps run in turn, so that other work on the machine slows all of them, and the
    median is taken.

    Args:
        training: the run to measure. Its weights change, but nothing is written.
        seconds: how long to measure each step, after it was compiled.
        say: is called with a line about what is measured next; compiling may take
            minutes.
    """
    replicas = training.runner.strategy.num_replicas_in_sync
    batches = _host_batches(training)
    kept = [next(batches) for _ in range(replicas)]
    del batches  # it reads ahead, which would slow down the measurements
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
        # The difference may be negative for a part that takes almost no time.
        parts[part] = max(0.0, so_far - before)
        before = max(before, so_far)
    return Shares(parts=parts, run=run, views=_views(training))


def host_rate(training: Training, *, seconds: float) -> float:
    """Measures how many views per second the host makes with all its cores.

    Args:
        training: the run to measure.
        seconds: how long to measure, after a first batch.
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
    """Returns how often `work` runs per second."""
    work()
    count, start = 0, time.perf_counter()
    while (spent := time.perf_counter() - start) < seconds or not count:
        work()
        count += 1
    return count / spent


class _Timed:
    """A step that runs as in a training run: many times in each call.

    Args:
        training: the run whose runner is used.
        step: a step, or the first parts of one.
        kept: a global batch that the step gets each time; None for the batches that the
            host makes.
        seconds: how long it is measured in all.
    """

    def __init__(
        self,
        training: Training,
        step: Callable[..., dict[str, tf.Tensor]],
        kept: list[TrainingBatch] | None,
        seconds: float,
    ):
        """Compiles the step and runs it twice, to know how long it takes."""
        make = functools.partial(training.batches, 0)
        self._iterate = lambda: training.runner.iterate(
            make if kept is None else lambda _: _repeated(kept)
        )
        self._limit = training.steps if kept is None else sys.maxsize
        self._left = self._limit
        self._pace = Pace(seconds=min(1.0, seconds / 2))
        self._batches = self._iterate()
        # The same names as in a run, so that a compiled program on disk can be used.
        programs.steady_names()
        self._advance = training.runner.compile(step, ["loss"])
        for _ in range(2):
            self.turn()
        programs.keep()

    def turn(self) -> float:
        """Calls it once more; returns the seconds per step."""
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
    """Runs the steps in turn, `seconds` each; returns their median seconds per step."""
    rounds: list[list[float]] = []
    start = time.perf_counter()
    while not rounds or time.perf_counter() - start < seconds * len(timed):
        rounds.append([one.turn() for one in timed])
    return [statistics.median(values) for values in zip(*rounds, strict=True)]


def _repeated(kept: list[TrainingBatch]) -> tf.data.Dataset:
    stacked = tf.nest.map_structure(lambda *parts: tf.stack(parts), *kept)
    return tf.data.Dataset.from_tensor_slices(stacked).cache().repeat()
