"""A trained ResNet as a model of stock Keras layers, which loads without sslkit."""

from __future__ import annotations

import os

import keras

from sslkit.api import Backbone, UserError
from sslkit.nn import ResNet
from sslkit.nn.batch_norm import BatchNorm
from sslkit.nn.convolution import ConvNorm, Convolution
from sslkit.nn.precision import layers_in
from sslkit.nn.residual_block import ResidualBlock, Shortcut
from sslkit.nn.selective_kernel import SelectiveKernel
from sslkit.nn.squeeze_excitation import SqueezeExcitation
from sslkit.storage import on_disk, reaching, replacing

SUFFIX = ".keras"


def save_keras(encoder: Backbone, path: str | os.PathLike[str], *, size: int) -> str:
    """Writes an encoder as a `.keras` file.

    Args:
        encoder: a ResNet, built.
        path: the path of the file, which ends in `.keras`.
        size: side of the images, in pixels.

    Returns:
        Lines of Python that load and call it, with Keras and without sslkit.

    Raises:
        UserError: if the encoder is not a ResNet, or the file cannot be written.
    """
    target = on_disk(path)
    if target.suffix != SUFFIX:
        raise UserError(
            f"{path} does not end in {SUFFIX}, which Keras needs. Name a file that "
            "does."
        )
    model = stock_layers(encoder, size=size)
    with reaching("the export", str(target), verb="written"), replacing(target) as path:
        model.save(path)
    return (
        "import keras, numpy\n"
        f"encoder = keras.models.load_model({str(target)!r})\n"
        f"images = numpy.zeros([1, {size}, {size}, 3])  # float32 in [0, 1]\n"
        f"features = encoder(images)  # float32 [1, {encoder.feature_dim}]"
    )


def stock_layers(encoder: Backbone, *, size: int) -> keras.Model:
    """Builds the same function from stock Keras layers, with copies of the weights.

    It computes in float32, even if the encoder does not.

    Args:
        encoder: a ResNet, built.
        size: side of the images, in pixels.

    Returns:
        A functional model, images -> features. In training mode, its batch
        normalisation uses the batch of each replica, not the global batch.

    Raises:
        UserError: if the encoder is not a ResNet.
    """
    if not isinstance(encoder, ResNet):
        raise UserError(
            f"the encoder is a {type(encoder).__name__}; only a ResNet can be written "
            "as stock Keras layers. Export it as a SavedModel."
        )
    images = keras.Input((size, size, 3), name="images", dtype="float32")
    builder = _Builder(encoder.path)
    # float32, because the model may be loaded on any machine.
    with layers_in("float32"):
        x = builder.network(encoder, images)
    model = keras.Model(images, x, name="encoder")
    builder.copy_weights()
    return model


class _Builder:
    """Builds stock layers, and records the sslkit layer that each one replaces."""

    def __init__(self, root: str) -> None:
        self._root = root
        self._pairs: list[tuple[keras.layers.Layer, keras.layers.Layer]] = []

    def copy_weights(self) -> None:
        for stock, own in self._pairs:
            leaves = {variable.name: variable for variable in own.variables}
            for variable in stock.variables:
                variable.assign(leaves[variable.name])

    def network(self, encoder: ResNet, x: keras.KerasTensor) -> keras.KerasTensor:
        for layer in encoder.stem.lead:
            x = self._conv_norm(layer, x)
        x = self._convolution(encoder.stem.conv, x)
        x = keras.layers.ReLU()(self._norm(encoder.stem.norm, x))
        if not encoder.stem.small:
            x = keras.layers.MaxPooling2D(3, 2, "same")(x)
        for group in encoder.groups:
            for block in group.blocks:
                x = self._block(block, x)
        return keras.layers.GlobalAveragePooling2D(name="features")(x)

    def _block(self, block: ResidualBlock, x: keras.KerasTensor) -> keras.KerasTensor:
        shortcut = x
        if block.shortcut is not None:
            shortcut = self._shortcut(block.shortcut, x)
        for layer in block.branch:
            selective = isinstance(layer, SelectiveKernel)
            x = (self._selective if selective else self._conv_norm)(layer, x)
        if block.squeeze_excitation is not None:
            x = self._gated(block.squeeze_excitation, x)
        return keras.layers.ReLU()(keras.layers.Add()([x, shortcut]))

    def _shortcut(self, layer: Shortcut, x: keras.KerasTensor) -> keras.KerasTensor:
        if layer.pool and layer.stride > 1:
            x = _pad(x, 2)
            x = keras.layers.AveragePooling2D(2, layer.stride)(x)
        elif layer.pool:
            x = keras.layers.AveragePooling2D(2, 1, "same")(x)
        return self._conv_norm(layer.projection, x)

    def _conv_norm(self, layer: ConvNorm, x: keras.KerasTensor) -> keras.KerasTensor:
        x = self._norm(layer.norm, self._convolution(layer.conv, x))
        return keras.layers.ReLU()(x) if layer.relu else x

    def _selective(
        self, layer: SelectiveKernel, x: keras.KerasTensor
    ) -> keras.KerasTensor:
        left, right = keras.ops.split(self._conv_norm(layer.streams, x), 2, axis=-1)
        both = keras.layers.Add()([left, right])
        squeezed = keras.layers.GlobalAveragePooling2D(keepdims=True)(both)
        mixing = self._convolution(layer.mix, self._conv_norm(layer.squeeze, squeezed))
        # The softmax of two numbers is a sigmoid of their difference.
        first, second = keras.ops.split(mixing, 2, axis=-1)
        share = keras.ops.sigmoid(keras.ops.subtract(first, second))
        rest = keras.ops.sigmoid(keras.ops.subtract(second, first))
        return keras.layers.Add()(
            [
                keras.layers.Multiply()([left, share]),
                keras.layers.Multiply()([right, rest]),
            ]
        )

    def _gated(
        self, layer: SqueezeExcitation, x: keras.KerasTensor
    ) -> keras.KerasTensor:
        squeezed = keras.layers.GlobalAveragePooling2D(keepdims=True)(x)
        hidden = keras.layers.ReLU()(self._convolution(layer.reduce, squeezed))
        gate = keras.ops.sigmoid(self._convolution(layer.expand, hidden))
        return keras.layers.Multiply()([x, gate])

    def _convolution(
        self, layer: Convolution, x: keras.KerasTensor
    ) -> keras.KerasTensor:
        size, stride = layer.kernel_size[0], layer.strides[0]
        if stride > 1:
            x = _pad(x, size)
        return self._stand_in(
            layer,
            keras.layers.Conv2D(
                layer.filters,
                size,
                strides=stride,
                padding="same" if stride == 1 else "valid",
                data_format="channels_last",
                use_bias=layer.use_bias,
                name=self._name(layer),
            ),
            x,
        )

    def _norm(self, layer: BatchNorm, x: keras.KerasTensor) -> keras.KerasTensor:
        return self._stand_in(
            layer,
            keras.layers.BatchNormalization(
                momentum=layer.momentum,
                epsilon=layer.epsilon,
                center=layer.center,
                scale=layer.scale,
                name=self._name(layer),
            ),
            x,
        )

    def _stand_in(
        self,
        own: keras.layers.Layer,
        stock: keras.layers.Layer,
        x: keras.KerasTensor,
    ) -> keras.KerasTensor:
        self._pairs.append((stock, own))
        return stock(x)

    def _name(self, layer: keras.layers.Layer) -> str:
        # Keras forbids slashes in names.
        return layer.path.removeprefix(f"{self._root}/").replace("/", "_")


def _pad(x: keras.KerasTensor, size: int) -> keras.KerasTensor:
    """Pads as `fixed_padding` does."""
    before = (size - 1) // 2
    side = (before, size - 1 - before)
    return keras.layers.ZeroPadding2D((side, side), data_format="channels_last")(x)
