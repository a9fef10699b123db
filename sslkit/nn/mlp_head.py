"""Multi-layer perceptrons on an encoder's features: the heads of all methods."""

from __future__ import annotations

import functools
from typing import Literal

import keras
import tensorflow as tf

from sslkit.arguments import NonNegativeInt, PositiveInt, checked
from sslkit.nn.batch_norm import BatchNorm
from sslkit.nn.precision import full_dtype

Start = Literal["normal", "fan_in", "wide"]
"""How a kernel is initialised: "normal" is N(0, 0.01^2), as in SimCLR; "fan_in" is
uniform within +-1 / sqrt(inputs), the default of PyTorch, in which most methods were
published; "wide" is N(0, 0.02^2), as in DINO and ViT (their truncation at +-2 has no
effect)."""

LastNorm = Literal["none", "plain", "scale", "full"]
"""The normalisation of the last layer's output: none; batch normalisation without
weights; with gamma; with gamma and beta."""


def kernel_start(start: Start) -> keras.initializers.Initializer:
    """Returns the initializer of a name; see `Start`."""
    if start == "normal":
        return keras.initializers.RandomNormal(stddev=0.01)
    if start == "wide":
        return keras.initializers.RandomNormal(stddev=0.02)
    return keras.initializers.VarianceScaling(1 / 3, "fan_in", "uniform")


class MLPLayer(keras.layers.Layer):
    """A dense layer, optionally batch normalisation, and an activation.

    Args:
        units: output width.
        bias: whether the dense layer has one.
        norm: see `LastNorm`.
        activation: the activation that follows, or "none".
        start: see `Start`.
        cross_replica: see `BatchNorm`.
        name: the layer's name.
    """

    def __init__(
        self,
        units: int,
        *,
        bias: bool,
        norm: LastNorm,
        activation: Literal["relu", "gelu", "none"],
        start: Start,
        cross_replica: bool,
        name: str,
    ) -> None:
        """Makes the layers; see the class."""
        super().__init__(name=name)
        self.units = units
        self.activation = activation
        self.dense = keras.layers.Dense(
            units, use_bias=bias, kernel_initializer=kernel_start(start), name="dense"
        )
        self.norm = None
        if norm != "none":
            self.norm = BatchNorm(
                center=norm == "full",
                scale=norm in ("scale", "full"),
                cross_replica=cross_replica,
                name="norm",
            )

    def build(self, shape: tuple[int | None, ...]) -> None:
        """Creates the kernel and bias, then the normalisation's variables."""
        self.dense.build(shape)
        if self.norm is not None:
            self.norm.build((shape[0], self.units))

    def call(self, x: tf.Tensor, *, training: bool) -> tf.Tensor:
        """Maps [n, width] -> float32 [n, units]."""
        # The product may be in half precision; batch statistics and the inputs of a
        # loss must not.
        x = tf.cast(self.dense(x), full_dtype(self))
        if self.norm is not None:
            x = self.norm(x, training=training)
        if self.activation == "relu":
            return tf.nn.relu(x)
        return tf.nn.gelu(x) if self.activation == "gelu" else x


class MLPHead(keras.layers.Layer):
    """Dense layers on features: a projection head or a predictor.

    The heads of the methods differ only in these arguments:

    | head | arguments |
    |---|---|
    | SimCLR v2, projection | `layers=3, last_norm="scale", start="normal"` |
    | MoCo v2 and SupCon, projection | `norm=False, bias=True, last_bias=True` |
    | MoCo v3, projection | `dim=256, hidden=4096, last_norm="plain"` |
    | BYOL, projection and predictor | `dim=256, hidden=4096, last_bias=True` |
    | SimSiam, projection | `layers=3, dim=2048, last_norm="plain"` |
    | SimSiam, predictor | `dim=2048, hidden=512, last_bias=True` |
    | Barlow Twins and VICReg, expander | `layers=3, dim=8192, hidden=8192` |
    | SwAV, projection | `hidden=2048, last_bias=True` |
    | DINO, before its prototypes | `layers=3, dim=256, hidden=2048, norm=False,
      bias=True, last_bias=True, activation="gelu", start="wide", unit=True` |

    Args:
        layers: how many dense layers; with 0, the features are returned unchanged.
        dim: width of the output.
        hidden: width of the layers before the last; None for the features' width.
        norm: whether batch normalisation, with gamma and beta, follows each layer
            except the last.
        bias: whether the dense layers except the last have a bias; it starts at 0.
        activation: the activation after each layer except the last.
        last_norm: the normalisation after the last layer; see `LastNorm`.
        last_bias: whether the last dense layer has a bias.
        unit: whether the output is divided by its length.
        start: how the kernels start; see `Start`.
        cross_replica: see `BatchNorm`.
        name: the layer's name.

    Raises:
        UserError: if an argument has a value that is not described above.
    """

    @checked
    def __init__(
        self,
        *,
        layers: NonNegativeInt = 2,
        dim: PositiveInt = 128,
        hidden: PositiveInt | None = None,
        norm: bool = True,
        bias: bool = False,
        activation: Literal["relu", "gelu"] = "relu",
        last_norm: LastNorm = "none",
        last_bias: bool = False,
        unit: bool = False,
        start: Start = "fan_in",
        cross_replica: bool = True,
        name: str,
    ) -> None:
        """Checks and keeps the options; see the class."""
        # The features are one of the outputs, so they are not rounded to half
        # precision.
        super().__init__(name=name, autocast=False)
        self.depth = layers
        self.dim = dim
        self.hidden = hidden
        self.unit = unit
        layer = functools.partial(MLPLayer, start=start, cross_replica=cross_replica)
        self._middle = functools.partial(
            layer, bias=bias, norm="full" if norm else "none", activation=activation
        )
        self._last = functools.partial(
            layer, bias=last_bias, norm=last_norm, activation="none"
        )

    def build(self, shape: tuple[int | None, ...]) -> None:
        """Creates the layers, `layer_0` and on, and their variables."""
        width = shape[-1]
        assert width is not None, "features have a static width"
        hidden = self.hidden or width
        self.layers = []
        for index in range(self.depth):
            last = index == self.depth - 1
            make = self._last if last else self._middle
            layer = make(self.dim if last else hidden, name=f"layer_{index}")
            layer.build((shape[0], width))
            # A layer made here is trainable, even if this one was frozen before.
            layer.trainable = self.trainable
            self.layers.append(layer)
            width = layer.units

    def call(self, features: tf.Tensor, *, training: bool) -> tf.Tensor:
        """Maps [n, width] -> float32 [n, dim]."""
        mapped = self.outputs(features, training=training)[-1]
        return tf.math.l2_normalize(mapped, axis=1) if self.unit else mapped

    def outputs(self, features: tf.Tensor, *, training: bool) -> list[tf.Tensor]:
        """Returns the features and the output of every layer.

        Args:
            features: [n, width].
            training: see `BatchNorm`.

        Returns:
            `1 + layers` tensors, float32 [n, width of the layer]; none is divided by
            its length.
        """
        if not self.built:
            self.build(tuple(features.shape))
        found = [tf.cast(features, full_dtype(self))]
        for layer in self.layers:
            found.append(layer(found[-1], training=training))
        return found
