"""Gradient accumulation: a batch is taken in parts, to need the memory of one part."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import tensorflow as tf

from sslkit import replica
from sslkit.api import Objective, UserError
from sslkit.data.batches import TrainingBatch

Nest = TypeVar("Nest")


def in_parts(
    make: Callable[[], Objective], parts: int, *, batch_size: int, replicas: int
) -> Callable[[], Objective]:
    """Returns what makes an objective, and refuses one whose loss parts would change.

    Args:
        make: makes the objective.
        parts: into how many a replica's share of the batch is divided.
        batch_size: the global batch.
        replicas: devices that share it.

    Raises:
        UserError: if the parts would not be equal. What is returned raises it, too, if
            the loss is not a mean over single images.
    """
    share = batch_size // replicas
    if share % parts:
        near = [n for n in range(1, share + 1) if share % n == 0]
        near = sorted(sorted(near, key=lambda n: abs(n - parts))[:2])
        raise UserError(
            f"train.accumulate is {parts}, which does not divide the {share} images "
            f"of each replica; use {' or '.join(map(str, near))}."
        )

    def made() -> Objective:
        objective = make()
        if parts > 1 and not objective.mean_over_examples:
            raise UserError(
                f"train.accumulate is {parts}, and the loss of objective "
                f"{objective.name} compares images of a batch: in parts it would be "
                f"the loss of batches of {batch_size // parts}. Use more devices or a "
                "smaller train.batch_size, and train.accumulate = 1."
            )
        return objective

    return made


def describe_parts(parts: int, batch_size: int) -> str:
    """Returns what is said of a batch that is taken in parts; empty for one part."""
    if parts == 1:
        return ""
    return (
        f" in {parts} parts of {batch_size // parts} images; batch normalisation sees "
        "one part"
    )


def mean_of_parts(
    of: Callable[[TrainingBatch], Nest], batch: TrainingBatch, parts: int
) -> Nest:
    """Computes something of each part of a batch, and the mean over the parts.

    Part k holds rows k, k + parts, k + 2 * parts and so on. So it has the same images,
    in the same order, however many replicas share the global batch. The memory of a
    part is free before the next part begins.

    Args:
        of: a part -> a nest of tensors of floats, the same for each part.
        batch: this replica's share; its rows are a multiple of `parts`.
        parts: how many.
    """
    if parts == 1:
        return of(batch)

    def part(number: int | tf.Tensor) -> TrainingBatch:
        def rows(value: tf.Tensor) -> tf.Tensor:
            many, *shape = value.shape
            apart = tf.reshape(value, [many // parts, parts, *shape])
            return tf.gather(apart, number, axis=1)

        return tf.nest.map_structure(rows, batch)

    def added(number: int | tf.Tensor, flat: list[tf.Tensor]) -> list[tf.Tensor]:
        with tf.control_dependencies(flat):
            own = tf.nest.map_structure(tf.identity, part(number))
        return [
            total + tf.convert_to_tensor(value)
            for total, value in zip(flat, tf.nest.flatten(of(own)), strict=True)
        ]

    first = of(part(0))
    flat = [tf.convert_to_tensor(value) for value in tf.nest.flatten(first)]
    if replica.count() == 1 and parts > 2:
        # One traced loop body for all other parts.
        _, flat = tf.while_loop(
            lambda number, flat: number < parts,
            lambda number, flat: (number + 1, added(number, flat)),
            (tf.constant(1), flat),
            maximum_iterations=parts - 1,
            parallel_iterations=1,
        )
    else:
        # Replicas cannot exchange values inside a loop.
        for number in range(1, parts):
            flat = added(number, flat)
    return tf.nest.pack_sequence_as(first, [total / parts for total in flat])
