"""A few real training steps of one objective on generated images."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from sslkit.api import (
    Augmentation,
    Batch,
    Objective,
    Optimizer,
    Schedule,
    ViewGroup,
    Views,
)
from sslkit.batch import Layout, stack_shapes
from sslkit.data.batches import TrainingBatch
from sslkit.optimize.momentum import Momentum
from sslkit.testing import devices
from sslkit.testing.precision import precision
from sslkit.training.state import TrainState
from sslkit.training.step import TrainStep

BATCH = 8
"""Images in the global batch."""
SIZE = 8
"""Side of the views, in pixels."""
STEPS = 5
"""Updates after which results are compared."""
RUN = 100
"""Updates of the whole run, of which a short run does the first ones."""
EXAMPLES = 10 * BATCH
"""Examples of the whole run; batches take them in turn."""
RATE = 0.1
"""Learning rate: large enough that a wrong gradient shows in the weights."""
CLASSES = 4
"""Labels are below this number."""


def images(counts: Mapping[str, int], *, step: int) -> dict[str, np.ndarray]:
    """Makes the views of one global batch.

    As in real data, views of one image are more similar to each other than to views of
    other images.

    Args:
        counts: group -> views per image.
        step: the step of the batch; another step has other images.

    Returns:
        Group -> uint8 [count, BATCH, SIZE, SIZE, 3].
    """
    draw = np.random.default_rng(step)
    coarse = draw.integers(0, 200, [BATCH, 1, 4, 4, 3])
    plain = coarse.repeat(SIZE // 4, axis=2).repeat(SIZE // 4, axis=3)
    noise = {
        group: draw.integers(0, 56, [BATCH, count, SIZE, SIZE, 3])
        for group, count in counts.items()
    }
    return {
        group: (plain + noise[group]).astype(np.uint8).swapaxes(0, 1)
        for group in counts
    }


class Ready(Augmentation):
    """Takes views that exist already; the device scales them to [0, 1]."""

    def __init__(self, groups: Mapping[str, ViewGroup], dtype: str):
        """Keeps the options."""
        self._groups = groups
        self._dtype = dtype

    @property
    def groups(self) -> Mapping[str, ViewGroup]:
        """The groups."""
        return self._groups

    def example(self, image: tf.Tensor, seed: tf.Tensor) -> dict[str, tf.Tensor]:
        """Raises an error, because no images are read."""
        raise AssertionError("never called: the views exist already")

    def batch(
        self, views: Views, *, step_seed: tf.Tensor, example_seeds: tf.Tensor
    ) -> Views:
        """Converts to the dtype of the short run."""
        return views.map(lambda stack: tf.image.convert_image_dtype(stack, self._dtype))


class Even(Schedule):
    """A constant rate, in the dtype of the short run."""

    def __init__(self, rate: float, dtype: str):
        """Keeps the options."""
        self._rate = rate
        self._dtype = dtype

    def rate(
        self, step: tf.Tensor, *, steps: int, batch_size: int, examples: int
    ) -> tf.Tensor:
        """Implements `Schedule.rate`."""
        return tf.constant(self._rate, self._dtype)


class Record(NamedTuple):
    """The results of a number of steps."""

    losses: list[float]
    """One per step."""
    table: dict[str, np.ndarray]
    """Name -> value of every variable after the steps."""
    unequal: dict[str, float]
    """Variables whose values differ between replicas -> the largest difference."""
    traces: int
    """How often the step was traced."""
    metrics: list[dict[str, float]]
    """The objective's metrics, name -> number, one mapping per step."""


class ShortRun:
    """The first steps of a run of one objective, with the real state and training step.

    Args:
        make: makes the objective.
        replicas: the number of logical CPUs, which share `BATCH` images.
        policy: the dtype policy, see `precision`.
        seed: the seed of the initial weights.
        jit: whether XLA compiles the step; only for one replica.
        optimizer: the optimizer; by default momentum.
        groups: the groups of views; by default those that the objective requires.
        accumulate: the number of parts that the batch is divided into.

    Raises:
        UserError: as `TrainState`.
    """

    def __init__(
        self,
        make: Callable[[], Objective],
        *,
        replicas: int = 1,
        policy: str = "float64",
        seed: int = 1,
        jit: bool = False,
        optimizer: Optimizer | None = None,
        groups: Mapping[str, ViewGroup] | None = None,
        accumulate: int = 1,
    ):
        """Builds the state."""
        self._strategy = devices.strategy(replicas)
        self._policy = policy
        self._share = BATCH // replicas
        optimizer = optimizer or Momentum(nesterov=False)
        self.traces = 0
        with precision(policy) as self._dtype:
            self.counts = dict(make().requires)
            self.groups = groups or {
                name: ViewGroup(count, SIZE) for name, count in self.counts.items()
            }
            self.state = TrainState(
                make,
                optimizer,
                strategy=self._strategy,
                groups=self.groups,
                batch_size=self._share // accumulate,
                seed=seed,
                steps=RUN,
                examples=EXAMPLES,
            )
        step = TrainStep(
            self.state,
            Ready(self.groups, self._dtype),
            optimizer,
            Even(RATE, self._dtype),
            steps=RUN,
            batch_size=BATCH,
            examples=EXAMPLES,
            seed=0,
            accumulate=accumulate,
        )

        replica_step = tf.function(step, jit_compile=True) if jit else step

        @tf.function
        def run(batch: TrainingBatch) -> dict[str, tf.Tensor]:
            self.traces += 1
            return self._strategy.run(replica_step, args=(batch,))

        self._run = run
        self._step = step

    def run(
        self,
        first: int,
        stop: int,
        *,
        order: Sequence[int] = tuple(range(BATCH)),
        unlabelled: Sequence[int] = (),
        eagerly: bool = False,
    ) -> Record:
        """Does the steps from `first` up to, but without, `stop`.

        Args:
            first: the number of the first step.
            stop: the number after the last step.
            order: the examples in each batch, by their numbers.
            unlabelled: the places in each batch that have no label.
            eagerly: whether to trace nothing, which is quicker for one or two steps.
        """
        advance = self._eager if eagerly else self._run
        losses, metrics = [], []
        with precision(self._policy):
            for number in range(first, stop):
                batch = self._distributed(number, np.array(order), unlabelled)
                found = {
                    name: float(self._local(value)[0])
                    for name, value in advance(batch).items()
                }
                losses.append(found["loss"])
                metrics.append({name: found[name] for name in self.state.metrics})
        table = self.values()
        unequal = {}
        for name, variable in self.state.table.items():
            spread = max(
                float(np.max(np.abs(copy.numpy() - table[name]), initial=0.0))
                for copy in self._local(variable.value)
            )
            if spread:
                unequal[name] = spread
        return Record(losses, table, unequal, self.traces, metrics)

    def traced(self) -> tf.types.experimental.ConcreteFunction:
        """Returns the traced step; nothing runs."""
        with precision(self._policy):
            return self._run.get_concrete_function(
                self._distributed(0, np.arange(BATCH))
            )

    def values(self) -> dict[str, np.ndarray]:
        """Reads every variable."""
        return {name: v.numpy() for name, v in self.state.table.items()}

    def set(self, values: Mapping[str, np.ndarray]) -> None:
        """Sets every variable."""
        for name, variable in self.state.table.items():
            variable.assign(values[name])

    def perturb(self) -> None:
        """Adds small random numbers to all weights, which may be zero at the start."""
        draw = np.random.default_rng(7)
        for weight in self.state.trainable.values():
            noise = draw.normal(0, 0.1, weight.shape)
            weight.assign(weight.numpy() + noise.astype(weight.dtype))

    def batch(self, number: int, *, blank: bool = False) -> Batch:
        """Returns the global batch of a step as an objective gets it."""
        return Batch(
            stacks={
                layout: tf.constant(0 * stack if blank else stack / 255, self._dtype)
                for layout, stack in self._stacks(number).items()
            },
            label=tf.constant(_labels(number)),
            index=tf.constant(_indices(number)),
        )

    def _stacks(self, number: int) -> dict[Layout, np.ndarray]:
        shown = images(self.counts, step=number)
        return {
            layout: np.concatenate([shown[group] for group, _ in layout])
            for layout in stack_shapes(self.groups, BATCH)
        }

    def _distributed(
        self, number: int, order: np.ndarray, unlabelled: Sequence[int] = ()
    ) -> TrainingBatch:
        label = _labels(number)[order]
        label[list(unlabelled)] = -1
        whole = TrainingBatch(
            views={
                group: stack.swapaxes(0, 1)[order]
                for group, stack in images(self.counts, step=number).items()
            },
            label=label,
            example_seeds=np.stack([order, order], axis=1).astype(np.int32),
            index=_indices(number)[order],
        )

        def share(context: tf.distribute.ValueContext, value: np.ndarray) -> tf.Tensor:
            start = context.replica_id_in_sync_group * self._share
            return tf.constant(value[start : start + self._share])

        return tf.nest.map_structure(
            lambda value: self._strategy.experimental_distribute_values_from_function(
                functools.partial(share, value=value)
            ),
            whole,
        )

    def _eager(self, batch: TrainingBatch) -> dict[str, tf.Tensor]:
        return self._strategy.run(self._step, args=(batch,))

    def _local(self, value: tf.Tensor) -> Sequence[tf.Tensor]:
        return self._strategy.experimental_local_results(value)


def _indices(number: int) -> np.ndarray:
    return (number * BATCH + np.arange(BATCH, dtype=np.int32)) % EXAMPLES


def _labels(number: int) -> np.ndarray:
    draw = np.random.default_rng([number, 1])
    return draw.integers(0, CLASSES, BATCH).astype(np.int32)
