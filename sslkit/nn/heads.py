"""Heads on an encoder's features."""

from __future__ import annotations

from typing import Literal

import keras
import tensorflow as tf

from sslkit.arguments import PositiveInt, checked
from sslkit.nn.mlp_head import MLPHead, kernel_start
from sslkit.nn.precision import full_dtype


class ProjectionHead(MLPHead):
    """Maps features to the space in which views are compared.

    This is the head of SimCLR v2 (Chen et al. 2020b, sec. 2): middle layers as wide as
    the features; normalisation after each layer, without an offset after the last; and
    a ReLU after all layers except the last.

    Args:
        layers: how many, in mode "nonlinear"; at least 1.
        dim: width of the projection.
        mode: "nonlinear"; "linear" for only the last layer; "none" for the features
            themselves.
        cross_replica: see `BatchNorm`.
        name: the layer's name.

    Raises:
        UserError: if an option has a value that is not described above.
    """

    @checked
    def __init__(
        self,
        *,
        layers: PositiveInt = 3,
        dim: PositiveInt = 128,
        mode: Literal["nonlinear", "linear", "none"] = "nonlinear",
        cross_replica: bool = True,
        name: str = "projection",
    ) -> None:
        """Checks and keeps the options; see the class."""
        super().__init__(
            layers={"nonlinear": layers, "linear": 1, "none": 0}[mode],
            dim=dim,
            last_norm="scale",
            start="normal",
            cross_replica=cross_replica,
            name=name,
        )


class LinearClassifier(keras.layers.Dense):
    """A dense layer with bias from features to class logits, in float32 throughout.

    It is small, and the loss takes exponentials of its output, so precision matters.

    Args:
        classes: number of classes.
        zero_init: whether the kernel starts at 0 and not at N(0, 0.01^2).
        name: the layer's name.
    """

    @checked
    def __init__(
        self, *, classes: PositiveInt, zero_init: bool = False, name: str = "classifier"
    ) -> None:
        """Keeps the options; see the class."""
        super().__init__(
            classes,
            kernel_initializer="zeros" if zero_init else kernel_start("normal"),
            dtype=keras.config.dtype_policy().variable_dtype,
            name=name,
        )

    def call(self, features: tf.Tensor) -> tf.Tensor:
        """Classifies [n, width] -> float32 [n, classes], logits."""
        return tf.cast(super().call(features), full_dtype(self))
