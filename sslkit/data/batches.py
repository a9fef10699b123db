"""From a source to the batches of one host's replicas.

Every element depends only on its position in the run. So the same example gets the same
views whatever the number of hosts, replicas or restarts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import tensorflow as tf

from sslkit.api import Augmentation
from sslkit.data import order
from sslkit.data.service import Service
from sslkit.errors import UserError
from sslkit.randomness import example_seed
from sslkit.source import Source

__all__ = [
    "TrainingBatch",
    "check_batch_size",
    "evaluation_batches",
    "evaluation_indices",
    "training_batches",
    "training_draws",
    "training_indices",
]


class TrainingBatch(NamedTuple):
    """One replica's share of one step, as it leaves the host."""

    views: Mapping[str, tf.Tensor]
    """Group -> uint8 [batch, count, size, size, 3]; made view-major on the device."""
    label: tf.Tensor
    """int32 [batch]; -1 if an example has none."""
    example_seeds: tf.Tensor
    """int32 [batch, 2]; the seeds that `Augmentation.example` received."""
    index: tf.Tensor
    """int32 [batch]; each example's index in the split. If an example could not be read
    and another one took its place, the index of the first."""


class _Made(NamedTuple):
    """A batch as it is made, in this process or in another."""

    number: tf.Tensor
    """int64 []; the number of batches that its host made before it in this run."""
    batch: TrainingBatch
    missed: tf.Tensor
    """int64 [batch]; how many examples from `batch.index` on could not be read."""


# AutoGraph would take longer to rewrite these functions than tracing takes.
@tf.autograph.experimental.do_not_convert
def training_batches(
    source: Source,
    augmentation: Augmentation,
    *,
    seed: int,
    batch_size: int,
    start_step: int,
    stop_step: int,
    context: tf.distribute.InputContext,
    service: Service | None = None,
) -> tf.data.Dataset:
    """Builds the training pipeline of one host.

    Consecutive elements go to the host's replicas in order: with `b` rows per replica,
    element `j` of step `s` on host `h` of `H` holds positions `s * batch_size + h *
    batch_size / H + j * b` and the `b - 1` after it.

    Args:
        source: the images.
        augmentation: makes the views; its host part runs here.
        seed: of the run, in [0, 2^31).
        batch_size: the global batch.
        start_step: first step for which a batch is made; nothing before it is read.
        stop_step: the step after the last.
        context: which host this is, of how many, and the number of replicas.
        service: makes the batches in other processes; None for this process.

    Returns:
        Dataset of `TrainingBatch` of `batch_size / replicas` rows, static shapes,
        `(stop_step - start_step) * replicas / hosts` elements.

    Raises:
        UserError: if the batch cannot be divided equally among the replicas, or the
            service cannot be reached.
    """
    replicas, hosts = context.num_replicas_in_sync, context.num_input_pipelines
    check_batch_size(batch_size, replicas)
    rows = batch_size // replicas
    groups = augmentation.groups

    def example(count: tf.Tensor) -> _Made:
        position = order.position(
            count, batch_size=batch_size, hosts=hosts, host=context.input_pipeline_id
        )
        epoch, index = order.index_at(position, seed=seed, size=source.size)
        draw = example_seed(seed, epoch, index)
        image, label, missed = source.search(index)
        views = augmentation.example(image, draw)
        if set(views) != set(groups):
            raise ValueError(
                f"{type(augmentation).__name__}.example made the groups "
                f"{sorted(views)}; its `groups` promises {sorted(groups)}"
            )
        batch = TrainingBatch(
            views={
                name: tf.ensure_shape(views[name], [count, size, size, 3])
                for name, (count, size) in groups.items()
            },
            label=label,
            example_seeds=draw,
            index=tf.cast(index, tf.int32),
        )
        return _Made(count // rows, batch, missed)

    def make(first: int, last: int) -> tf.data.Dataset:
        # One element of the range is one batch, the unit that a service distributes.
        return (
            tf.data.Dataset.range(first, last)
            .flat_map(lambda n: tf.data.Dataset.range(n * rows, (n + 1) * rows))
            .map(example, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
            .batch(rows, drop_remainder=True)
            .map(_one_batch)
        )

    def noted(made: _Made) -> TrainingBatch:
        with tf.control_dependencies(
            [source.note(tf.cast(made.batch.index, tf.int64), made.missed)]
        ):
            return tf.nest.map_structure(tf.identity, made.batch)

    def problem(first: int, last: int) -> str | None:
        each = replicas // hosts
        return source.problem(
            training_indices(
                source,
                first // each,
                min(-(-last // each), stop_step),
                seed=seed,
                batch_size=batch_size,
            )
        )

    first, last = (step * (replicas // hosts) for step in (start_step, stop_step))
    if service is None:
        made = make(first, last)
    else:
        made = service.batches(make, first, last, problem=problem)
    return made.map(noted).prefetch(tf.data.AUTOTUNE)


class Draw(NamedTuple):
    """One row of a batch: its example and the seed of its views."""

    epoch: int
    example: int
    """The example's index in its source, before unreadable examples are skipped."""
    seed: list[int]
    """The seed that `Augmentation.example` received, two numbers."""


def training_draws(
    source: Source, step: int, *, seed: int, batch_size: int
) -> list[Draw]:
    """Returns the examples and seeds of the batch of one step.

    Args:
        source: the images.
        step: updates done before it.
        seed: of the run.
        batch_size: the global batch.
    """
    first = step * batch_size
    positions = tf.range(first, first + batch_size, dtype=tf.int64)
    epochs, indices = order.index_at(positions, seed=seed, size=source.size)
    return [
        Draw(
            int(epoch),
            int(index),
            example_seed(seed, epoch, index).numpy().tolist(),
        )
        for epoch, index in zip(epochs, indices, strict=True)
    ]


def training_indices(
    source: Source, first: int, last: int, *, seed: int, batch_size: int
) -> list[int]:
    """Returns the indices of the examples in the batches of some steps.

    Args:
        source: the images.
        first: the first step.
        last: the step after the last.
        seed: of the run.
        batch_size: the global batch.
    """
    positions = tf.range(first * batch_size, last * batch_size, dtype=tf.int64)
    _, indices = order.index_at(positions, seed=seed, size=source.size)
    return indices.numpy().tolist()


def _one_batch(made: _Made) -> _Made:
    return made._replace(number=made.number[0])


@tf.autograph.experimental.do_not_convert
def evaluation_batches(
    source: Source,
    *,
    size: int,
    batch_size: int,
    view: Callable[[tf.Tensor], tf.Tensor],
    limit: int | None = None,
    context: tf.distribute.InputContext | None = None,
) -> tf.data.Dataset:
    """Builds one pass over a source: every example once, the last batch padded.

    Args:
        source: the images.
        size: side of the evaluation view, in pixels.
        batch_size: the global batch.
        view: uint8 [height, width, 3] -> uint8 [size, size, 3].
        limit: the most examples to use; they are chosen by a fixed permutation, so that
            the classes are mixed.
        context: which host this is; one host with one replica unless given.

    Returns:
        Dataset of {"images": uint8 [b, size, size, 3], black if padded; "label": int32
        [b], -1 if padded or unlabelled; "weight": float32 [b], 1, or 0 if padded;
        "index": int64 [b], index in the source, -1 if padded}. A row whose example
        cannot be read is padded, too. `b = batch_size / replicas` is static, and every
        replica has the same number of elements.

    Raises:
        UserError: if the batch cannot be divided equally among the replicas, or `limit`
            is not positive.
    """
    if limit is not None and limit < 1:
        raise UserError(f"limit {limit} leaves no example; give 1 or more, or None")
    context = context or tf.distribute.InputContext()
    replicas = context.num_replicas_in_sync
    check_batch_size(batch_size, replicas)
    count = source.size if limit is None else min(limit, source.size)

    def example(position: tf.Tensor) -> dict[str, tf.Tensor]:
        # Padding rows read nothing: the last example may be slow to read, or damaged.
        picture, label, index = tf.cond(
            position < count,
            lambda: read(position),
            lambda: (blank, tf.constant(-1), tf.constant(-1, tf.int64)),
        )
        return {
            "images": tf.ensure_shape(picture, [size, size, 3]),
            "label": label,
            "weight": tf.cast(index >= 0, tf.float32),
            "index": index,
        }

    def read(position: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        index = _evaluated(position, count, source.size)
        image, label, readable = source.attempt(index)
        return (
            tf.where(readable, tf.ensure_shape(view(image), blank.shape), blank),
            tf.where(readable, label, -1),
            tf.where(readable, index, -1),
        )

    blank = tf.zeros([size, size, 3], tf.uint8)

    return (
        order.positions(
            0,
            -(-count // batch_size),
            batch_size=batch_size,
            hosts=context.num_input_pipelines,
            host=context.input_pipeline_id,
        )
        .map(example, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
        .batch(batch_size // replicas, drop_remainder=True)
        .prefetch(tf.data.AUTOTUNE)
    )


def evaluation_indices(
    source: Source, first: int, last: int, *, limit: int | None
) -> list[int]:
    """Returns which examples `evaluation_batches` reads at some positions.

    Args:
        source: the images.
        first: the first position.
        last: the position after the last.
        limit: as given to `evaluation_batches`.
    """
    count = source.size if limit is None else min(limit, source.size)
    positions = tf.range(min(first, count), min(last, count), dtype=tf.int64)
    return _evaluated(positions, count, source.size).numpy().tolist()


def _evaluated(position: tf.Tensor, count: int, size: int) -> tf.Tensor:
    """Returns the example at a position of an evaluation of `count` out of `size`."""
    if count == size:
        return position
    return order.mixed(position, size=size)


def check_batch_size(batch_size: int, replicas: int) -> None:
    """Refuses a global batch that cannot be divided equally among the replicas.

    Args:
        batch_size: the global batch.
        replicas: devices that share it.

    Raises:
        UserError: naming the nearest sizes that can.
    """
    if batch_size > 0 and batch_size % replicas == 0:
        return
    below = batch_size // replicas * replicas
    wanted = [str(size) for size in (below, below + replicas) if size > 0]
    raise UserError(
        f"batch_size {batch_size} cannot be divided equally among {replicas} replicas; "
        f"use {' or '.join(wanted) or replicas}"
    )
