"""The law that nothing in a training step is computed in float64."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from sslkit.api import (
    Augmentation,
    Backbone,
    Objective,
    Optimizer,
    Schedule,
    Views,
    Weight,
)
from sslkit.batch import stack_shapes
from sslkit.errors import describe
from sslkit.testing.backbone_laws import built
from sslkit.testing.law import Broken, NotChecked, Subject
from sslkit.testing.objective_laws import short_run_of
from sslkit.testing.optimizer_laws import SHAPES
from sslkit.testing.short_run import BATCH, SIZE

_DOUBLES = (tf.float64.as_datatype_enum, tf.complex128.as_datatype_enum)


def computes_without_float64(subject: Subject) -> None:
    """A step with float64 ran on a CPU but not on a TPU."""
    found = doubles(_traced(subject))
    if found:
        raise Broken(
            f"these operations compute in float64: {', '.join(found[:4])}",
            "Compute in float32, or in the dtype of the arguments; Python floats and "
            "NumPy arrays become float64 unless tf.constant gets a dtype",
        )


def doubles(traced: tf.types.experimental.ConcreteFunction) -> list[str]:
    """Returns the operations of a traced function that use float64.

    Args:
        traced: the function; the functions that it calls are searched, too.
    """
    graph = traced.graph.as_graph_def()
    nodes = [*graph.node, *(n for f in graph.library.function for n in f.node_def)]
    return sorted(
        {
            f"{node.name} ({node.op})"
            for node in nodes
            for attribute in node.attr.values()
            if {attribute.type, *attribute.list.type} & {*_DOUBLES}
        }
    )


def _traced(subject: Subject) -> tf.types.experimental.ConcreteFunction:
    if issubclass(subject.plugin, Objective):
        return short_run_of(subject, "float32").traced()
    made = subject.make()
    if isinstance(made, Backbone):
        backbone = built(subject)
        images = tf.TensorSpec([BATCH, SIZE, SIZE, 3])
        return _trace(lambda x: backbone(x, training=True), images)
    if isinstance(made, Augmentation):
        made = made.on("TPU")
        stacks = {
            layout: tf.TensorSpec(shape, tf.uint8)
            for layout, shape in stack_shapes(made.groups, 2).items()
        }
        return _trace(
            lambda stacks, step, examples: dict(
                made.batch(Views(stacks), step_seed=step, example_seeds=examples)
            ),
            stacks,
            tf.TensorSpec([2], tf.int32),
            tf.TensorSpec([2, 2], tf.int32),
        )
    step, rate = tf.TensorSpec([], tf.int64), tf.TensorSpec([])
    if isinstance(made, Schedule):
        run = {"steps": 40, "batch_size": 8, "examples": 100}
        return _trace(lambda step: made.rate(step, **run), step)
    assert isinstance(made, Optimizer), "the other kinds are not under this law"
    weights = {
        path: Weight(
            tf.TensorSpec(shape),
            tf.TensorSpec(shape),
            {name: tf.TensorSpec(shape) for name in made.slots},
            rate=rate,
            updates=step,
        )
        for path, shape in SHAPES.items()
    }
    return _trace(
        lambda weights, step: dict(made.update_all(weights, step=step, steps=40)),
        weights,
        step,
    )


def _trace(function: Any, *specs: Any) -> tf.types.experimental.ConcreteFunction:
    try:
        return tf.function(function).get_concrete_function(*specs)
    except Exception as error:
        raise NotChecked("it cannot be traced", describe(error).rstrip(".")) from error
