"""Reading by libraries that are not of TensorFlow, from inside its graphs."""

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
        read: index -> what is stored; it may raise anything.
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
        # Not an array of bytes, which loses zeros at the end.
        return np.array(content, object)

    return tf.ensure_shape(tf.numpy_function(called, [index], tf.string), [])


def calls_python(source: Source) -> bool:
    """Returns whether reading an example calls Python, of this process alone."""
    traced = tf.function(source.example).get_concrete_function(
        tf.TensorSpec([], tf.int64)
    )
    graph = traced.graph.as_graph_def()
    nodes = [*graph.node]
    for function in graph.library.function:
        nodes += function.node_def
    return any(node.op in _CALLS for node in nodes)
