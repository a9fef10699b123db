"""Counts of arithmetic and memory, against numbers computed by hand."""

from __future__ import annotations

import pytest
import tensorflow as tf

from sslkit.errors import UserError
from sslkit.plan.counting import cost


def counted(function, *shapes):
    specs = [tf.TensorSpec(shape, tf.float32) for shape in shapes]
    return cost(tf.function(function).get_concrete_function(*specs).graph)


def gradients(function):
    def both(*sources):
        with tf.GradientTape() as tape:
            tape.watch(sources)
            out = function(*sources)
        return tape.gradient(out, sources)

    return both


IMAGES, KERNEL = [2, 8, 8, 3], [3, 3, 3, 5]
FORWARD = 2 * (2 * 4 * 4 * 5) * (3 * 3 * 3)


def convolution(images, kernel):
    return tf.nn.conv2d(images, kernel, strides=2, padding="SAME")


def test_a_convolution_and_its_two_gradients_are_three_times_the_work():
    assert counted(convolution, IMAGES, KERNEL).flops == FORWARD
    found = counted(gradients(convolution), IMAGES, KERNEL)
    # The result itself is not read by its gradients, and is still counted.
    assert found.flops == 3 * FORWARD
    assert found.kept_bytes == 2 * 4 * 4 * 5 * 4


def test_a_depthwise_convolution():
    def depthwise(images, kernel):
        return tf.nn.depthwise_conv2d(images, kernel, [1, 1, 1, 1], "SAME")

    found = counted(gradients(depthwise), IMAGES, [3, 3, 3, 1])
    assert found.flops == 3 * 2 * (2 * 8 * 8 * 3) * 9


@pytest.mark.parametrize(
    ("function", "shapes", "multiply_adds"),
    [
        (tf.matmul, ([4, 6], [6, 5]), 4 * 6 * 5),
        (lambda a, b: tf.matmul(a, b, transpose_a=True), ([6, 4], [6, 5]), 4 * 6 * 5),
        (tf.matmul, ([3, 4, 6], [3, 6, 5]), 3 * 4 * 6 * 5),
        (lambda a, b: tf.matmul(a, b, adjoint_a=True), ([3, 6, 4], [3, 6, 5]), 360),
        (lambda a, b: tf.einsum("nd,kdc->knc", a, b), ([7, 6], [2, 6, 5]), 420),
        (lambda a, b: tf.einsum("...d,dc->...c", a, b), ([3, 4, 6], [6, 5]), 360),
    ],
)
def test_products(function, shapes, multiply_adds):
    assert counted(function, *shapes).flops == 2 * multiply_adds


def test_a_loop_counts_as_often_as_it_runs():
    def loop(a, b):
        return tf.while_loop(
            lambda n, _: n < 7,
            lambda n, a: (n + 1, a @ b),
            (0, a),
            maximum_iterations=7,
        )[1]

    assert counted(loop, [4, 4], [4, 4]).flops == 7 * 2 * 64


def test_a_loop_of_unknown_length_is_named():
    def loop(a):
        return tf.while_loop(lambda a: tf.reduce_sum(a) < 1e3, lambda a: (a @ a,), (a,))

    with pytest.raises(UserError, match="loop while has no static length"):
        counted(loop, [4, 4])


def test_functions_are_counted_and_only_the_most_expensive_branch():
    inner = tf.function(lambda a: a @ a @ a)

    def branching(a):
        return tf.cond(a[0, 0] > 0, lambda: inner(a), lambda: a @ a)

    assert counted(branching, [4, 4]).flops == 2 * 2 * 64


def test_the_peak_memory_is_counted():
    def chain(a):
        for _ in range(5):
            a = tf.sqrt(tf.reshape(a, [8, 2]))
        return a

    # The input was there before; then a result and the one made of it, no more.
    assert counted(chain, [4, 4]).live_bytes == 2 * 16 * 4

    def fan(a):
        parts = [tf.sqrt(a) for _ in range(5)]
        return tf.add_n(parts)

    assert counted(fan, [4, 4]).live_bytes == 6 * 16 * 4


def test_a_shape_that_is_not_static_is_named():
    with pytest.raises(UserError, match=r"shape \(None, 5\), which is not static"):
        counted(tf.matmul, [None, 6], [6, 5])
