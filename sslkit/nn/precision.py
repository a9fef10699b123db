"""Half precision: where layers compute in it, and where it is too little."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Literal

import keras

Precision = Literal["float32", "bfloat16"]
"""What the layers of a network multiply in; weights and statistics are float32."""


def full_dtype(layer: keras.layers.Layer) -> str:
    """Returns the dtype of a layer's statistics, sums and final outputs.

    A loss is cast to it, and not to tf.float32: in a run it is float32, and under the
    laws of `sslkit.testing`, which run in float64, it is that.

    Args:
        layer: what computes, e.g. the objective itself.

    Returns:
        "float32" whatever half type the layer computes in, "float64" for a float64
        layer.
    """
    return keras.backend.result_type(layer.variable_dtype, "float32")


@contextlib.contextmanager
def layers_in(precision: Precision) -> Iterator[None]:
    """Makes the layers that are built inside compute in a precision.

    Each layer keeps the policy it was made under, so that calls and traces need no
    scope. The policy that was there before comes back, whatever happens inside; other
    threads never see this one.

    Args:
        precision: `bfloat16`: layers multiply in it and keep float32 weights (Keras'
            policy `mixed_bfloat16`). `float32`: both are of `keras.config.floatx`,
            whatever policy the process has for layers of its own.
    """
    before = keras.config.dtype_policy()
    half = precision == "bfloat16"
    keras.config.set_dtype_policy("mixed_bfloat16" if half else keras.config.floatx())
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
