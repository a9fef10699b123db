"""The networks of keras.applications as backbones."""

from __future__ import annotations

import concurrent.futures
import inspect
import itertools
import math
import re
from collections.abc import Sequence
from typing import Any, Literal

import keras
import tensorflow as tf

from sslkit import randomness
from sslkit.api import Backbone, UserError, checked
from sslkit.nn.batch_norm import BatchNorm
from sslkit.nn.precision import full_dtype

Network = Literal[
    "ConvNeXtBase",
    "ConvNeXtLarge",
    "ConvNeXtSmall",
    "ConvNeXtTiny",
    "ConvNeXtXLarge",
    "DenseNet121",
    "DenseNet169",
    "DenseNet201",
    "EfficientNetB0",
    "EfficientNetB1",
    "EfficientNetB2",
    "EfficientNetB3",
    "EfficientNetB4",
    "EfficientNetB5",
    "EfficientNetB6",
    "EfficientNetB7",
    "EfficientNetV2B0",
    "EfficientNetV2B1",
    "EfficientNetV2B2",
    "EfficientNetV2B3",
    "EfficientNetV2L",
    "EfficientNetV2M",
    "EfficientNetV2S",
    "InceptionResNetV2",
    "InceptionV3",
    "MobileNet",
    "MobileNetV2",
    "MobileNetV3Large",
    "MobileNetV3Small",
    "NASNetLarge",
    "NASNetMobile",
    "ResNet101",
    "ResNet101V2",
    "ResNet152",
    "ResNet152V2",
    "ResNet50",
    "ResNet50V2",
    "VGG16",
    "VGG19",
    "Xception",
]
"""The networks of `keras.applications` that return one vector per image."""

_LEAST = 32
"""The smallest side for which Keras builds a network of fixed size, in pixels."""


class KerasApplication(Backbone):
    """A network of `keras.applications`, by name, with random initial weights.

    Parts that do not fit a run are replaced. Batch normalisation becomes sslkit's,
    which is over the global batch and which a frozen momentum encoder needs. Names that
    depend on what else the process has made become names by the layer's place. Dropout,
    which in the EfficientNets drops whole branches (stochastic depth), becomes one of
    the same rate that draws by `sslkit.randomness.draw`, and so only in a training
    step.

    Args:
        network: e.g. `ConvNeXtTiny`, as in `keras.applications`.
        name: the layer's name.

    Raises:
        UserError: if there is no such network.
    """

    @checked
    def __init__(self, *, network: Network, name: str = "keras") -> None:
        """Checks and keeps the options; see the class."""
        super().__init__(name=name)
        self.application = network

    @property
    def feature_dim(self) -> int:
        """Width of the feature vector."""
        return _FEATURES[self.application]

    def build(self, shape: tuple[int | None, ...]) -> None:
        """Creates all variables, for images [n, size, size, 3].

        Raises:
            UserError: if the network does not take images of this size.
        """
        original = self._original(tuple(shape[1:]))
        # Networks that scale pixels themselves expect them in [0, 255].
        self.scale = 1.0
        if any(isinstance(x, keras.layers.Rescaling) for x in original.layers):
            self.scale = 255.0
        places = itertools.count()
        self.network = keras.models.clone_model(
            original,
            clone_function=lambda layer: _stand_in(
                layer, next(places), self.dtype_policy
            ),
            recursive=True,
        )
        self.network.trainable = self.trainable

    def call(self, images: tf.Tensor, *, training: bool) -> tf.Tensor:
        """Encodes [n, size, size, 3] in [0, 1] -> float32 [n, feature_dim]."""
        if not self.built:
            self.build(tuple(images.shape))
        features = self.network(images * self.scale, training=training)
        return tf.cast(features, full_dtype(self))

    def _original(self, shape: tuple[int | None, ...]) -> keras.Model:
        make = getattr(keras.applications, self.application)
        options: dict[str, Any] = {}
        if "include_preprocessing" in inspect.signature(make).parameters:
            options["include_preprocessing"] = False

        # Keras refuses a fixed size below 32, but accepts an open size, which may be
        # less.
        small = shape[0] is not None and shape[0] < _LEAST
        size = (None, None, shape[2]) if small else shape

        def build() -> keras.Model:
            model = make(
                include_top=False,
                weights=None,
                pooling="avg",
                input_shape=size,
                **options,
            )
            # Keras before 3.15 averages over zero pixels, which gives NaN.
            if 0 in _before_pooling(model, shape):
                raise ValueError("its pooling leaves no pixel of so small an image.")
            return model

        # In another thread, the strategy's scope and the creators of variables there
        # have no effect: the variables of this network are temporary and belong to
        # nobody.
        with concurrent.futures.ThreadPoolExecutor(max_workers=1) as thread:
            try:
                return thread.submit(build).result()
            except ValueError as error:
                raise UserError(
                    f"{self.application} cannot be built for images of {shape[0]} x "
                    f"{shape[1]} pixels: {_reason(error)}"
                ) from error


def _before_pooling(
    model: keras.Model, shape: tuple[int | None, ...]
) -> tuple[int | None, ...]:
    """Returns the shape of a network's last feature map, for images of a shape."""
    pools = (keras.layers.GlobalAveragePooling2D,)
    *_, last = (layer for layer in model.layers if isinstance(layer, pools))
    trunk = keras.Model(model.input, last.input)
    return tuple(trunk(keras.KerasTensor((1, *shape))).shape)


def _reason(error: ValueError) -> str:
    """Returns the line with the reason; Keras adds other lines, in bold type."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    own = [line for line in lines if not line.startswith("Exception encountered")]
    return re.sub(r"\x1b\[\d*m", "", (own or lines)[0])


class _Norm(BatchNorm):
    """Batch normalisation in a functional model, which does not pass `training`."""

    def call(
        self, x: tf.Tensor, training: bool = False, mask: None = None
    ) -> tf.Tensor:
        return super().call(x, training=bool(training))


class _Dropout(keras.layers.Layer):
    """Dropout whose draws depend on the run's seed, the step and the example.

    Args:
        rate: share that is dropped, in [0, 1).
        noise_shape: the shape of the draws: [n, ...] with 1 for a dimension that is
            dropped as a whole and None for others; None to draw for every number.
        name: the layer's name.
        dtype: the layer's policy.
    """

    def __init__(
        self,
        rate: float,
        noise_shape: Sequence[int | None] | None,
        *,
        name: str,
        dtype: keras.DTypePolicy,
    ) -> None:
        super().__init__(name=name, dtype=dtype)
        self.rate = rate
        self.noise_shape = noise_shape

    def build(self, shape: tuple[int | None, ...]) -> None:
        """Makes no variables."""
        del shape

    def call(self, x: tf.Tensor, training: bool = False) -> tf.Tensor:
        if not training:
            return x
        rows, *rest = (
            there if asked is None else asked
            for asked, there in zip(
                self.noise_shape or [None] * len(x.shape), x.shape, strict=True
            )
        )
        noise = randomness.draw(self.path, rows=rows, count=math.prod(rest))
        if noise is None:
            return x
        kept = tf.reshape(noise >= self.rate, [rows, *rest])
        return tf.where(kept, x / (1 - self.rate), tf.zeros([], x.dtype))


class _Scale(keras.layers.Layer):
    """One learned factor per channel (Touvron et al. 2021, eq. 2), with a fixed name.

    The name of Keras's own weight depends on how many the process has made before.
    """

    def __init__(self, start: float, *, name: str, dtype: keras.DTypePolicy) -> None:
        super().__init__(name=name, dtype=dtype)
        self.start = start

    def build(self, shape: tuple[int | None, ...]) -> None:
        first = keras.initializers.Constant(self.start)
        self.gamma = self.add_weight(
            name="gamma", shape=(shape[-1],), initializer=first
        )

    def call(self, x: tf.Tensor) -> tf.Tensor:
        return x * self.gamma


def _stand_in(
    layer: keras.layers.Layer, place: int, dtype: keras.DTypePolicy
) -> keras.layers.Layer:
    name = f"{place:03d}_{type(layer).__name__.lower()}"
    if isinstance(layer, keras.layers.BatchNormalization):
        return _Norm(
            momentum=layer.momentum,
            epsilon=layer.epsilon,
            center=layer.center,
            scale=layer.scale,
            name=name,
        )
    if isinstance(layer, keras.layers.Dropout):
        return _Dropout(layer.rate, layer.noise_shape, name=name, dtype=dtype)
    if type(layer).__name__ == "LayerScale":
        return _Scale(layer.init_values, name=name, dtype=dtype)
    config = {**layer.get_config(), "name": name}
    # A functional model also has operations, such as the sum of two tensors.
    if isinstance(layer, keras.layers.Layer):
        # The mean over pixels is the output, and is not rounded to half precision.
        last = isinstance(layer, keras.layers.GlobalAveragePooling2D)
        config["dtype"] = dtype.variable_dtype if last else dtype
    return type(layer).from_config(config)


_FEATURES: dict[Network, int] = {
    "ConvNeXtBase": 1024,
    "ConvNeXtLarge": 1536,
    "ConvNeXtSmall": 768,
    "ConvNeXtTiny": 768,
    "ConvNeXtXLarge": 2048,
    "DenseNet121": 1024,
    "DenseNet169": 1664,
    "DenseNet201": 1920,
    "EfficientNetB0": 1280,
    "EfficientNetB1": 1280,
    "EfficientNetB2": 1408,
    "EfficientNetB3": 1536,
    "EfficientNetB4": 1792,
    "EfficientNetB5": 2048,
    "EfficientNetB6": 2304,
    "EfficientNetB7": 2560,
    "EfficientNetV2B0": 1280,
    "EfficientNetV2B1": 1280,
    "EfficientNetV2B2": 1408,
    "EfficientNetV2B3": 1536,
    "EfficientNetV2L": 1280,
    "EfficientNetV2M": 1280,
    "EfficientNetV2S": 1280,
    "InceptionResNetV2": 1536,
    "InceptionV3": 2048,
    "MobileNet": 1024,
    "MobileNetV2": 1280,
    "MobileNetV3Large": 960,
    "MobileNetV3Small": 576,
    "NASNetLarge": 4032,
    "NASNetMobile": 1056,
    "ResNet101": 2048,
    "ResNet101V2": 2048,
    "ResNet152": 2048,
    "ResNet152V2": 2048,
    "ResNet50": 2048,
    "ResNet50V2": 2048,
    "VGG16": 512,
    "VGG19": 512,
    "Xception": 2048,
}
"""Network -> width of its features."""
