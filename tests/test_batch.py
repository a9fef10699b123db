"""Views are view-major in one tensor per size, and groups are slices of it."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from sslkit.api import ViewGroup, Views
from sslkit.batch import stack_shapes, view_major
from sslkit.objectives import join_sizes, join_views

LAYOUT = (("a", 2), ("b", 3), ("c", 1))
STACK = np.arange(6 * 4 * 2 * 2 * 3, dtype=np.float32).reshape([6, 4, 2, 2, 3])


def views() -> Views:
    return Views({LAYOUT: tf.constant(STACK)})


def operations(groups: str) -> set[str]:
    """Returns the operations of joining, except the reshape."""
    spec = tf.TensorSpec(STACK.shape)
    traced = tf.function(lambda stack: join_views(Views({LAYOUT: stack}), groups))
    graph = traced.get_concrete_function(spec).graph
    kinds = {operation.type for operation in graph.get_operations()}
    return kinds - {"Placeholder", "Const", "Identity", "NoOp", "Reshape"}


def test_groups_are_slices():
    assert list(views()) == ["a", "b", "c"]
    assert len(views()) == 3
    np.testing.assert_array_equal(views()["a"], STACK[:2])
    np.testing.assert_array_equal(views()["b"], STACK[2:5])
    np.testing.assert_array_equal(views()["c"], STACK[5:])
    with pytest.raises(KeyError, match="d"):
        views()["d"]


@pytest.mark.parametrize(
    ("groups", "places", "taken"),
    [
        ("abc", [0, 1, 2, 3, 4, 5], set()),
        ("ab", [0, 1, 2, 3, 4], {"StridedSlice"}),
        ("bc", [2, 3, 4, 5], {"StridedSlice"}),
        ("ac", [0, 1, 5], {"StridedSlice", "ConcatV2"}),
        ("ba", [2, 3, 4, 0, 1], {"StridedSlice", "ConcatV2"}),
    ],
)
def test_neighbours_are_joined_without_a_copy(groups, places, taken):
    wanted = STACK[places].reshape([-1, 2, 2, 3])
    np.testing.assert_array_equal(join_views(views(), groups), wanted)
    assert operations(groups) == taken


def test_a_whole_stack_is_itself():
    whole = views()
    (stack,) = whole.stacks.values()
    assert whole.joined("abc") is stack


def test_groups_that_are_not_adjacent_are_joined_too():
    apart = Views.of({name: tf.constant(views()[name]) for name in "abc"})
    assert len(apart.stacks) == 3
    np.testing.assert_array_equal(apart.joined("abc"), STACK)
    assert Views.of(apart) is apart


def test_a_function_of_stacks_keeps_the_groups():
    doubled = views().map(lambda stack: 2 * stack)
    np.testing.assert_array_equal(doubled["b"], 2 * STACK[2:5])


def test_one_stack_for_each_size():
    groups = {"a": ViewGroup(2, 8), "small": ViewGroup(6, 4), "b": ViewGroup(1, 8)}
    assert stack_shapes(groups, 5) == {
        (("a", 2), ("b", 1)): (3, 5, 8, 8, 3),
        (("small", 6),): (6, 5, 4, 4, 3),
    }


def test_views_from_the_host_are_transposed_and_joined():
    made = view_major(
        {
            "a": tf.constant(STACK[:2].swapaxes(0, 1)),
            "small": tf.zeros([4, 3, 1, 1, 3]),
            "b": tf.constant(STACK[2:].swapaxes(0, 1)),
        }
    )
    assert list(made.stacks) == [(("a", 2), ("b", 4)), (("small", 3),)]
    np.testing.assert_array_equal(made.joined("ab"), STACK)
    assert made["small"].shape == (3, 4, 1, 1, 3)


def test_stacks_pass_through_tensorflow_with_their_layout():
    """As they do from the step to the objective."""
    passed = {"stacks": views().stacks, "row": tf.zeros([4])}
    strategy = tf.distribute.OneDeviceStrategy("CPU:0")
    run = tf.function(
        lambda given: strategy.run(
            lambda stacks: dict(Views(stacks)), args=(given["stacks"],)
        )
    )
    np.testing.assert_array_equal(run(passed)["b"], STACK[2:5])


def test_views_of_several_sizes_are_joined_size_by_size():
    groups = {
        "large": tf.ones([2, 3, 4, 4, 3]),
        "small": tf.ones([5, 3, 2, 2, 3]),
        "more": 2 * tf.ones([1, 3, 4, 4, 3]),
    }
    views = Views.of(groups)
    with pytest.raises(ValueError, match=r"views of \[2, 4\] pixels cannot be in one"):
        views.joined(["large", "small"])
    large, small = join_sizes(views, groups)
    assert large.shape == (9, 4, 4, 3)
    assert small.shape == (15, 2, 2, 3)
    assert large[:, 0, 0, 0].numpy().tolist() == [1] * 6 + [2] * 3
