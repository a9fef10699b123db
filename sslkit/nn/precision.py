"""Half precision: which layers use it, and which numbers must not."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Literal

import keras

Precision = Literal["float32", "bfloat16"]
"""The type in which a network's layers multiply; weights are float32 in both."""


def full_dtype(layer: keras.layers.Layer) -> str:
    """Returns the dtype of a layer's statistics, sums and final outputs.

    A loss should be cast to it, and not to tf.float32: in a run it is float32, but in
    the laws of `sslkit.testing`, which use float64, it is float64.

    Args:
        layer: the layer that computes, e.g. the objective itself.

    Returns:
        "float64" for a float64 layer, and otherwise "float32", also if the layer
        computes in half precision.

    Examples:
        >>> full_dtype(keras.layers.Dense(2, dtype="mixed_bfloat16"))
        'float32'
    """
    return keras.backend.result_type(layer.variable_dtype, "float32")


@contextlib.contextmanager
def layers_in(precision: Precision) -> Iterator[None]:
    """A context in which new layers get a precision.

    Each layer keeps the policy with which it was made, so calling and tracing it need
    no context. At the end the earlier policy is restored, also after an error; other
    threads are not affected.

    Args:
        precision: `bfloat16`: layers multiply in it and keep float32 weights (Keras'
            policy `mixed_bfloat16`). `float32`: both have the type
            `keras.config.floatx`, whatever policy the process has set.
    """
    before = keras.config.dtype_policy()
    half = precision == "bfloat16"
    keras.config.set_dtype_policy("mixed_bfloat16" if half else keras.config.floatx())
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
