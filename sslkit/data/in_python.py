"""Calling readers that are written in Python from inside TensorFlow's graphs."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from sslkit.errors import first_line
from sslkit.source import Source

__all__ = ["call", "calls_python"]

_CALLS = {"EagerPyFunc", "PyFunc", "PyFuncStateless"}


def call(read: Callable[[int], bytes], index: tf.Tensor) -> tf.Tensor:
    """Reads one example by a Python function, in graph operations.

    Calls take turns: Python runs one thread at a time.

    Args:
        read: index -> the stored bytes; it may raise any error.
        index: int64 [].

    Returns:
        string [].

    Raises:
        tf.errors.InvalidArgumentError: when it runs, if `read` raises.
    """

    def called(place: np.ndarray) -> np.ndarray:
        try:
            content = read(int(place))
        except ValueError:
            raise
        except Exception as error:
            raise ValueError(f"{type(error).__name__}: {first_line(error)}") from error
        # An array of bytes would lose zeros at the end.
        return np.array(content, object)

    return tf.ensure_shape(tf.numpy_function(called, [index], tf.string), [])


def calls_python(source: Source) -> bool:
    """Returns whether reading an example calls Python code of this process."""
    traced = tf.function(source.example).get_concrete_function(
        tf.TensorSpec([], tf.int64)
    )
    graph = traced.graph.as_graph_def()
    nodes = [*graph.node]
    for function in graph.library.function:
        nodes += function.node_def
    return any(node.op in _CALLS for node in nodes)
