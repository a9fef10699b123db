"""The names and weights of the published TF1 networks, for comparing with them."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

import keras
import numpy as np

_OPERATION = {"kernel": "conv2d", "bias": "conv2d"}


def encoder_names(encoder: keras.layers.Layer) -> Iterator[tuple[str, keras.Variable]]:
    """Pairs variables with TF1 names, which number layers of a kind as they come."""
    numbers: dict[str, dict[str, int]] = {}
    for variable in encoder.weights:
        layer, _, leaf = variable.path.rpartition("/")
        kind = _OPERATION.get(leaf, "batch_normalization")
        number = numbers.setdefault(kind, {}).setdefault(layer, len(numbers[kind]))
        suffix = f"_{number}" if number else ""
        yield f"base_model/{kind}{suffix}/{leaf}", variable


def projection_names(head: keras.layers.Layer) -> Iterator[tuple[str, keras.Variable]]:
    for variable in head.weights:
        layer, kind, leaf = variable.path.split("/")[-3:]
        number = layer.removeprefix("layer_")
        kind = {"norm": "batch_normalization"}.get(kind, kind)
        yield f"head_contrastive_instance/nl_{number}/{kind}/{leaf}", variable


def classifier_names(head: keras.layers.Layer) -> Iterator[tuple[str, keras.Variable]]:
    for variable in head.weights:
        yield f"head_supervised/linear_layer/dense/{variable.name}", variable


def weight(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Returns the value a published variable has in the recorded runs."""
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
