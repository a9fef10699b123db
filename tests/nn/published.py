"""The names and weights of the published TF1 networks, for comparing with them."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

import keras
import numpy as np

from sslkit.nn import BatchNorm
from sslkit.published.names import published_names


def encoder_names(encoder: keras.layers.Layer) -> Iterator[tuple[str, keras.Variable]]:
    """Pairs variables with their names in the published code."""
    return _names(encoder, "encoder")


def projection_names(head: keras.layers.Layer) -> Iterator[tuple[str, keras.Variable]]:
    return _names(head, "projection")


def classifier_names(head: keras.layers.Layer) -> Iterator[tuple[str, keras.Variable]]:
    return _names(head, "classifier")


def _names(
    layer: keras.layers.Layer, place: str
) -> Iterator[tuple[str, keras.Variable]]:
    table = {
        f"{place}/{variable.path.removeprefix(layer.path + '/')}": variable
        for variable in layer.weights
    }
    names = published_names(table)
    for own, variable in table.items():
        yield names[own], variable


def use_recorded_constant(layer: keras.layers.Layer) -> None:
    """Makes normalisation use the 0.1 that is in float32 in the float64 recordings.

    All other numbers of the recordings are float64.
    """
    for part in layer._flatten_layers():
        if isinstance(part, BatchNorm):
            part.momentum = 1 - float(np.float32(0.1))


def weight(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Returns the value of a published variable in the recorded runs."""
    draw = np.random.RandomState(zlib.crc32(name.encode()) & 0x7FFFFFFF)
    match name.rpartition("/")[-1]:
        case "kernel":
            value = draw.standard_normal(shape) * np.sqrt(1.0 / np.prod(shape[:-1]))
        case "gamma":
            value = draw.uniform(0.5, 1.5, shape)
        case "moving_variance":
            value = draw.uniform(0.5, 2.0, shape)
        case "beta" | "moving_mean":
            value = 0.2 * draw.standard_normal(shape)
        case "bias":
            value = 0.1 * draw.standard_normal(shape)
        case leaf:
            raise ValueError(f"no recorded run has a {leaf}")
    return value.astype("float32")
