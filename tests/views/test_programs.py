"""The program of views for an accelerator has whole batches, no loop and no branch.

The programs are traced and lowered for it here, but not run.
"""

from __future__ import annotations

import functools
import re

import pytest
import tensorflow as tf

import sslkit.plugins
from sslkit.api import Augmentation, Views
from sslkit.batch import stack_shapes

BATCH = 6

SHIPPED = {
    "crop_flip": {"size": 40},
    "fnc": {"size": 40, "support": 2, "translate": 17, "cutout": 7},
    "multi_crop": {"size": 40, "local": 3, "local_size": 24},
    "simclr": {"size": 40},
}

_OPERATION = re.compile(r" ([a-z][a-z-]*)\(")
_GRAPH_FORBIDDEN = re.compile("While|If$|Case|Scatter|Sort|TopK|Unique|MapDefun|PyFunc")


def made(name: str, **changed) -> Augmentation:
    factory = sslkit.plugins.load("augmentations", name)
    return factory(**{**SHIPPED[name], **changed}).on("GPU")


def finishing(augmentation: Augmentation):
    """Returns the function that finishes a batch, and black views for it."""

    def finish(stacks, step_seed, example_seeds):
        views = Views(stacks)
        out = augmentation.batch(
            views, step_seed=step_seed, example_seeds=example_seeds
        )
        return dict(Views.of(out).stacks)

    stacks = {
        layout: tf.zeros(shape, tf.uint8)
        for layout, shape in stack_shapes(augmentation.groups, BATCH).items()
    }
    seeds = tf.zeros([2], tf.int32), tf.zeros([BATCH, 2], tf.int32)
    return tf.function(finish, jit_compile=True), (stacks, *seeds)


@functools.cache
def shipped(name: str):
    """As `finishing`, traced once for all who look at it."""
    return finishing(made(name))


def graph_of(function, arguments) -> tf.compat.v1.GraphDef:
    return function.get_concrete_function(*arguments).graph.as_graph_def()


def nodes(graph: tf.compat.v1.GraphDef) -> list:
    """Returns the operations of a graph and of all functions in it."""
    found = list(graph.node)
    for nested in graph.library.function:
        found += nested.node_def
    return found


def hlo_of(function, arguments) -> str:
    return function.experimental_get_compiler_ir(*arguments)(stage="hlo")


@pytest.mark.parametrize("name", SHIPPED)
def test_graph_has_no_loop_branch_scatter_or_sort(name):
    found = nodes(graph_of(*shipped(name)))
    assert len(found) > 1
    bad = {node.op for node in found if _GRAPH_FORBIDDEN.search(node.op)}
    assert not bad
    wide = {
        node.name
        for node in found
        for value in node.attr.values()
        if value.type in (tf.float64.as_datatype_enum, tf.int64.as_datatype_enum)
        and node.op not in ("Const", "StridedSlice")
    }
    assert not wide


# The views of the others are parts of fnc's; their graphs are looked at above.
@pytest.mark.parametrize(
    "name",
    [
        *("crop_flip", "fnc"),
        *(pytest.param(n, marks=pytest.mark.slow) for n in ("multi_crop", "simclr")),
    ],
)
def test_program_has_no_loop_branch_scatter_or_sort(name):
    text = hlo_of(*shipped(name))
    operations = set(_OPERATION.findall(text))
    assert {"convert", "multiply"} <= operations
    assert not operations & {
        "while",
        "conditional",
        "scatter",
        "sort",
        "custom-call",
        "convolution",
        "dot",
        "infeed",
        "outfeed",
    }
    assert "f64" not in text
    assert "<=" not in text  # no size is known only as a bound


def test_loops_in_the_program_for_a_cpu_are_found():
    finish = finishing(made("simclr", placement="device").on("CPU"))
    found = nodes(graph_of(*finish))
    assert any(_GRAPH_FORBIDDEN.search(node.op) for node in found)
    assert {"while", "conditional"} <= set(_OPERATION.findall(hlo_of(*finish)))


def test_a_program_grows_with_neither_batch_nor_views():
    few, many = (
        nodes(graph_of(*finishing(made("fnc", support=support, strength=0.0))))
        for support in (0, 6)
    )
    assert len(few) == len(many)
