"""In blocks, no tensor of loss, detection or gradient is a full matrix."""

from __future__ import annotations

import math

import pytest
import tensorflow as tf

from sslkit.objectives import Listed, Scores, multi_view_nt_xent

VIEWS, BATCH, DIM, COLUMNS, BLOCK = 4, 64, 8, 1024, 32


def largest(function):
    """Returns the entries of the largest tensor in a graph and all that it calls."""
    graph = function.graph.as_graph_def(add_shapes=True)
    shapes = [node.attr["_output_shapes"].list.shape for node in graph.node]
    for called in graph.library.function:
        shapes += [node.attr["_output_shapes"].list.shape for node in called.node_def]
    sizes = [
        math.prod(dim.size for dim in shape.dim)
        for some in shapes
        for shape in some
        if not shape.unknown_rank
    ]
    return max(sizes)


@pytest.mark.parametrize(
    ("through", "use", "pick"),
    [
        (True, "attracted", "listed"),
        (False, "attracted", "computed"),
        (True, "eliminated", "computed"),
        (False, "eliminated", "listed"),
    ],
)
def test_no_tensor_is_a_matrix_of_all_similarities(through, use, pick):
    @tf.function
    def step(anchors, candidates, *, block):
        with tf.GradientTape() as tape:
            tape.watch([anchors, candidates])
            scores = Scores(anchors, candidates, views=VIEWS, block=block)
            if pick == "listed":
                _, places = scores.best(3)
                selection = Listed(places, columns=COLUMNS, block=block)
            else:
                selection = scores.computed(lambda k: scores.of(k) > 0.5)
            loss = multi_view_nt_xent(
                anchors,
                candidates,
                temperature=0.1,
                **{use: selection},
                through_candidates=through,
                block=block,
            )
        sources = [anchors, candidates] if through else [anchors]
        return tape.gradient(loss, sources)

    shapes = (
        tf.TensorSpec([VIEWS, BATCH, DIM]),
        tf.TensorSpec([COLUMNS, DIM]),
    )
    whole = VIEWS * BATCH * COLUMNS
    assert largest(step.get_concrete_function(*shapes, block=None)) >= whole
    # A block of similarities, or as many numbers as the embeddings have.
    allowed = max(VIEWS * BATCH * BLOCK, COLUMNS * DIM)
    assert largest(step.get_concrete_function(*shapes, block=BLOCK)) <= allowed
