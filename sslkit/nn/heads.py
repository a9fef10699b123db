"""What sits on an encoder's features."""

from __future__ import annotations

from typing import Literal

import keras
import tensorflow as tf

from sslkit.arguments import PositiveInt, checked
from sslkit.nn.batch_norm import BatchNorm
from sslkit.nn.precision import full_dtype


def _small_normal() -> keras.initializers.Initializer:
    return keras.initializers.RandomNormal(stddev=0.01)


class ProjectionLayer(keras.layers.Layer):
    """A dense layer without bias, batch normalisation, and a ReLU unless it is last.

    Args:
        units: output width.
        last: whether it ends the head: no ReLU, and a normalisation without beta.
        cross_replica: see `BatchNorm`.
        name: the layer's name.
    """

    def __init__(
        self, units: int, *, last: bool, cross_replica: bool, name: str
    ) -> None:
        """Makes the two layers; see the class."""
        super().__init__(name=name)
        self.units = units
        self.last = last
        self.dense = keras.layers.Dense(
            units, use_bias=False, kernel_initializer=_small_normal(), name="dense"
        )
        self.norm = BatchNorm(center=not last, cross_replica=cross_replica, name="norm")

    def build(self, shape: tuple[int | None, ...]) -> None:
        """Creates the kernel, then the normalisation's variables."""
        self.dense.build(shape)
        self.norm.build((shape[0], self.units))

    def call(self, x: tf.Tensor, *, training: bool) -> tf.Tensor:
        """Maps [n, width] -> float32 [n, units]."""
        # The product may run in a half type; batch statistics and what a loss
        # compares must not.
        wide = tf.cast(self.dense(x), full_dtype(self))
        x = self.norm(wide, training=training)
        return x if self.last else tf.nn.relu(x)


class ProjectionHead(keras.layers.Layer):
    """Maps features to the space in which views are compared.

    The head of SimCLR v2 (Chen et al. 2020b, sec. 2): middle layers as wide as the
    features, normalisation after each layer, ReLU after all but the last.

    Args:
        layers: how many, in mode "nonlinear"; at least 1.
        dim: width of the projection.
        mode: "nonlinear"; "linear" for the last layer alone; "none" for the features
            themselves.
        cross_replica: see `BatchNorm`.
        name: the layer's name.

    Raises:
        UserError: if an option is none of the above.
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
        # The features are one of the outputs, and not rounded to a half type there.
        super().__init__(name=name, autocast=False)
        self.depth = {"nonlinear": layers, "linear": 1, "none": 0}[mode]
        self.dim = dim
        self.cross_replica = cross_replica

    def build(self, shape: tuple[int | None, ...]) -> None:
        """Creates the layers, `layer_0` and on, and their variables."""
        width = shape[-1]
        assert width is not None, "features have a static width"
        self.layers = []
        for index in range(self.depth):
            last = index == self.depth - 1
            layer = ProjectionLayer(
                self.dim if last else width,
                last=last,
                cross_replica=self.cross_replica,
                name=f"layer_{index}",
            )
            layer.build((shape[0], width))
            # A layer made here does not know whether this one was frozen before.
            layer.trainable = self.trainable
            self.layers.append(layer)

    def call(self, features: tf.Tensor, *, training: bool) -> tf.Tensor:
        """Projects [n, width] -> float32 [n, dim], not normalised to unit length."""
        return self.outputs(features, training=training)[-1]

    def outputs(self, features: tf.Tensor, *, training: bool) -> list[tf.Tensor]:
        """Returns the features and then every layer's output.

        Args:
            features: [n, width].
            training: see `BatchNorm`.

        Returns:
            `1 + number of layers` tensors, float32 [n, width of the layer].
        """
        if not self.built:
            self.build(tuple(features.shape))
        found = [tf.cast(features, full_dtype(self))]
        for layer in self.layers:
            found.append(layer(found[-1], training=training))
        return found


class LinearClassifier(keras.layers.Dense):
    """A dense layer with bias from features to class logits.

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
        kernel = "zeros" if zero_init else _small_normal()
        super().__init__(classes, kernel_initializer=kernel, name=name)

    def call(self, features: tf.Tensor) -> tf.Tensor:
        """Classifies [n, width] -> float32 [n, classes], logits."""
        return tf.cast(super().call(features), full_dtype(self))
