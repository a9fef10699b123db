"""Where half precision is too little."""

from __future__ import annotations

import keras


def full_dtype(layer: keras.layers.Layer) -> str:
    """Returns the dtype of a layer's statistics, sums and final outputs.

    Returns:
        "float32" whatever half type the layer computes in, "float64" for a float64
        layer.
    """
    return keras.backend.result_type(layer.variable_dtype, "float32")
