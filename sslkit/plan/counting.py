"""Arithmetic and memory of a traced function, counted from its graph.

Only convolutions and matrix products are counted, with two operations per multiply-add.
In networks they are nearly all of the arithmetic, and the peak numbers of devices are
for them. The body of a loop counts once per iteration.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator
from typing import Any

import tensorflow as tf

from sslkit.errors import UserError

_VIEWS_OF_INPUT = {
    "Identity",
    "Reshape",
    "Squeeze",
    "ExpandDims",
    "StopGradient",
    "PreventGradient",
    "ReadVariableOp",
}
"""Operations whose result shares the memory of their first input."""

_FREE = {"Const", "VarHandleOp", "Placeholder"}
"""Operations whose results exist before a step: weights, inputs, constants."""


@dataclasses.dataclass(frozen=True)
class Cost:
    """What one call costs on one replica."""

    flops: float
    """Floating-point operations of convolutions and matrix products."""
    live_bytes: int
    """Peak memory if every operation writes its result, operations run in the order of
    the trace, and a result is freed after the last operation that reads it."""
    kept_bytes: int
    """What the backward pass of the convolutions must keep: their results. Everything
    else in a convolutional network can be computed from them again by cheap elementwise
    operations, and XLA does so when memory is short."""


def cost(graph: tf.Graph) -> Cost:
    """Counts a graph and the loops and functions in it.

    Args:
        graph: the graph of a concrete function with static shapes.

    Raises:
        UserError: if a shape or the length of a loop is not static.
    """
    return Cost(
        flops=_flops(graph),
        live_bytes=_live_bytes(graph),
        kept_bytes=sum(
            _bytes(operation.inputs[2])
            for operation in graph.get_operations()
            if operation.type.endswith("BackpropFilter")
        ),
    )


def _flops(graph: tf.Graph) -> float:
    total = 0.0
    for operation in graph.get_operations():
        if operation.type in _ARITHMETIC:
            total += _ARITHMETIC[operation.type](operation)
        for times, body in _inside(operation):
            total += times * _flops(body)
    return total


def _inside(operation: tf.Operation) -> Iterator[tuple[int, tf.Graph]]:
    """Yields (how often, graph) for each graph that an operation runs."""
    if operation.type in ("While", "StatelessWhile"):
        yield _iterations(operation), _graph(operation, operation.get_attr("body"))
    elif operation.type in ("PartitionedCall", "StatefulPartitionedCall"):
        yield 1, _graph(operation, operation.get_attr("f"))
    elif operation.type in ("If", "StatelessIf", "Case", "StatelessCase"):
        if operation.type.endswith("If"):
            names = [
                operation.get_attr(f"{which}_branch") for which in ("then", "else")
            ]
        else:
            names = operation.get_attr("branches")
        # The branch that costs most.
        yield 1, max((_graph(operation, name) for name in names), key=_flops)


def _graph(operation: tf.Operation, function: Any) -> tf.Graph:
    # TensorFlow has no public way from an operation to the function that it calls.
    return operation.graph._get_function(function.name).graph


def _iterations(loop: tf.Operation) -> int:
    # The first inputs of a loop are TensorFlow's own counter and limit.
    found = tf.get_static_value(loop.inputs[1])
    if found is None or found < 0:
        raise UserError(
            f"the loop {loop.name} has no static length, so its work cannot be "
            "counted. Give tf.while_loop maximum_iterations, which XLA needs, too."
        )
    return int(found)


def _size(tensor: tf.Tensor) -> int:
    shape = tensor.shape
    if not shape.is_fully_defined():
        raise UserError(
            f"{tensor.name} has the shape {shape}, which is not static, so the step "
            "can neither be planned nor be compiled for a TPU. Give it a static shape, "
            "e.g. with tf.ensure_shape."
        )
    return math.prod(shape)


def _bytes(tensor: tf.Tensor) -> int:
    return _size(tensor) * tensor.dtype.size


def _convolution(operation: tf.Operation) -> float:
    kernel = operation.inputs[1].shape
    return 2.0 * _size(operation.outputs[0]) * math.prod(kernel[:-1])


def _convolution_to_input(operation: tf.Operation) -> float:
    kernel = operation.inputs[1].shape
    return 2.0 * _size(operation.inputs[2]) * math.prod(kernel[:-1])


def _convolution_to_filter(operation: tf.Operation) -> float:
    kernel = operation.outputs[0].shape
    return 2.0 * _size(operation.inputs[2]) * math.prod(kernel[:-1])


def _depthwise(operation: tf.Operation) -> float:
    kernel = operation.inputs[1].shape
    return 2.0 * _size(operation.outputs[0]) * math.prod(kernel[:2])


def _depthwise_to_input(operation: tf.Operation) -> float:
    kernel = operation.inputs[1].shape
    return 2.0 * _size(operation.inputs[2]) * math.prod(kernel[:2])


def _depthwise_to_filter(operation: tf.Operation) -> float:
    kernel = operation.outputs[0].shape
    return 2.0 * _size(operation.inputs[2]) * math.prod(kernel[:2])


def _product(operation: tf.Operation) -> float:
    name = "transpose_a" if operation.type == "MatMul" else "adj_x"
    shape = operation.inputs[0].shape
    summed = shape[-2] if operation.get_attr(name) else shape[-1]
    return 2.0 * _size(operation.outputs[0]) * summed


def _einsum(operation: tf.Operation) -> float:
    subscripts = operation.get_attr("equation").decode().partition("->")[0].split(",")
    sizes: dict[str, int] = {}
    for letters, tensor in zip(subscripts, operation.inputs, strict=True):
        # An ellipsis stands for the leading dimensions, aligned from the right.
        left, dots, right = letters.partition("...")
        shape = list(tensor.shape)
        named = dict(zip(left, shape, strict=False))
        named |= dict(zip(right, shape[len(shape) - len(right) :], strict=True))
        if dots:
            rest = shape[len(left) : len(shape) - len(right)]
            for place, size in enumerate(reversed(rest)):
                key = f"...{place}"
                named[key] = max(size, sizes.get(key, 1))
        sizes |= named
    return 2.0 * math.prod(sizes.values())


_ARITHMETIC: dict[str, Callable[[tf.Operation], float]] = {
    "Conv2D": _convolution,
    "Conv2DBackpropInput": _convolution_to_input,
    "Conv2DBackpropFilter": _convolution_to_filter,
    "DepthwiseConv2dNative": _depthwise,
    "DepthwiseConv2dNativeBackpropInput": _depthwise_to_input,
    "DepthwiseConv2dNativeBackpropFilter": _depthwise_to_filter,
    "MatMul": _product,
    "BatchMatMulV2": _product,
    "Einsum": _einsum,
}


def _live_bytes(graph: tf.Graph) -> int:
    """Returns the peak memory of running the operations one after another."""
    operations = graph.get_operations()
    owner: dict[str, tuple[str, int] | None] = {}
    last: dict[str, int] = {}
    made: dict[int, list[tuple[str, int]]] = {}
    for place, operation in enumerate(operations):
        for tensor in operation.inputs:
            found = owner.get(tensor.name)
            if found is not None:
                last[found[0]] = place
        for tensor in operation.outputs:
            if operation.type in _FREE or tensor.dtype == tf.resource:
                owner[tensor.name] = None
            elif operation.type in _VIEWS_OF_INPUT and operation.inputs:
                owner[tensor.name] = owner.get(operation.inputs[0].name)
            elif not tensor.shape.is_fully_defined() or tensor.dtype.size == 0:
                # A list of tensors, whose parts were counted when they were made.
                owner[tensor.name] = None
            else:
                owner[tensor.name] = (tensor.name, _bytes(tensor))
                made.setdefault(place, []).append((tensor.name, _bytes(tensor)))
                last[tensor.name] = place
    ending: dict[int, list[str]] = {}
    for name, place in last.items():
        ending.setdefault(place, []).append(name)
    sizes = dict(item for items in made.values() for item in items)
    alive = most = 0
    for place, operation in enumerate(operations):
        alive += sum(size for _, size in made.get(place, []))
        inside = max((_live_bytes(body) for _, body in _inside(operation)), default=0)
        most = max(most, alive + inside)
        alive -= sum(sizes[name] for name in ending.get(place, []))
    return most
