"""How fast the host makes views, and how fast the model takes them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import tensorflow as tf

from sslkit.data.batches import TrainingBatch
from sslkit.training.run import Training

__all__ = ["Throughput", "host_rate", "measure"]


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

    step = training.step()
    again = training.runner.iterate(lambda _: _repeated(kept))
    advance = training.runner.compile(step, step.metrics)
    model = _rate(lambda: _finish(advance, again), seconds)
    return Throughput(host=host, model=model * views)


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


def _finish(advance: Callable[..., Any], batches: Iterator[Any]) -> None:
    # Reading a number waits for the device.
    float(advance(batches, tf.constant(1))["loss"])


def _repeated(kept: list[TrainingBatch]) -> tf.data.Dataset:
    stacked = tf.nest.map_structure(lambda *parts: tf.stack(parts), *kept)
    return tf.data.Dataset.from_tensor_slices(stacked).cache().repeat()
