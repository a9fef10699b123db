"""Where half precision is too little."""

from __future__ import annotations

import keras


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
