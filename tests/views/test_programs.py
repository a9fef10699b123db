"""What an accelerator is given of the views: whole batches, no loop and no branch.

The programs are traced and lowered for it here, and not run.
"""

from __future__ import annotations

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
    "simclr": {"size": 40},
}

_OPERATION = re.compile(r"= (?:\([^=]*\)|\S+) ([a-z-]+)\(")
_GRAPH_FORBIDDEN = re.compile("While|If$|Case|Scatter|Sort|TopK|Unique|MapDefun|PyFunc")


def made(name: str, kind: str) -> Augmentation:
    factory = sslkit.plugins.load("augmentations", name)
    return factory(**SHIPPED[name]).on(kind)


def concrete(augmentation: Augmentation):
    specs = {
        layout: tf.TensorSpec(shape, tf.uint8)
        for layout, shape in stack_shapes(augmentation.groups, BATCH).items()
    }

    def finish(stacks, step_seed, example_seeds):
        views = Views(stacks)
        out = augmentation.batch(
            views, step_seed=step_seed, example_seeds=example_seeds
        )
        return dict(Views.of(out).stacks)

    seed = tf.TensorSpec([2], tf.int32), tf.TensorSpec([BATCH, 2], tf.int32)
    function = tf.function(finish, jit_compile=True)
    return function, (specs, *seed)


def graph_of(augmentation: Augmentation) -> tf.compat.v1.GraphDef:
    function, specs = concrete(augmentation)
    return function.get_concrete_function(*specs).graph.as_graph_def()


def nodes(graph: tf.compat.v1.GraphDef) -> list:
    """Returns the operations of a graph and of all functions in it."""
    found = list(graph.node)
    for nested in graph.library.function:
        found += nested.node_def
    return found


def hlo_of(augmentation: Augmentation) -> str:
    function, specs = concrete(augmentation)
    return function.experimental_get_compiler_ir(*specs)(stage="hlo")


@pytest.mark.parametrize("kind", ["GPU", "TPU"])
@pytest.mark.parametrize("name", SHIPPED)
def test_graph_has_no_loop_branch_scatter_or_sort(name, kind):
    found = nodes(graph_of(made(name, kind)))
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


@pytest.mark.parametrize("name", SHIPPED)
def test_program_has_no_loop_branch_scatter_or_sort(name):
    text = hlo_of(made(name, "GPU"))
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
    assert "<=" not in text  # no size is known by its bound alone


def test_this_test_sees_loops_and_branches():
    augmentation = sslkit.plugins.load("augmentations", "fnc")(
        **SHIPPED["fnc"], placement="device"
    ).on("CPU")
    assert any(
        _GRAPH_FORBIDDEN.search(node.op) for node in nodes(graph_of(augmentation))
    )
    found = set(_OPERATION.findall(hlo_of(augmentation)))
    assert {"while", "conditional"} <= found


def test_program_grows_with_neither_batch_nor_views():
    # Larger shapes, the same instructions: nothing is unrolled over images.
    few, many = (
        sslkit.plugins.load("augmentations", "fnc")(
            **{**SHIPPED["fnc"], "support": support}
        ).on("GPU")
        for support in (0, 6)
    )
    assert len(nodes(graph_of(many))) == len(nodes(graph_of(few)))
