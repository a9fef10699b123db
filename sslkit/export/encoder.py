"""A trained encoder, for use in Python."""

from __future__ import annotations

import abc
import os
from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf

from sslkit import storage
from sslkit.api import Backbone, UserError
from sslkit.export.images import check_images, check_range, in_unit_interval


class Encoder(keras.layers.Layer, abc.ABC):
    """A trained encoder, which turns images into features; it is a Keras layer.

    Attributes:
        size: side of the images that it was trained on, in pixels.
        feature_dim: width of the features.
        variables: all its variables.
        trainable_variables: those that training should change.
    """

    size: int
    feature_dim: int

    def __init__(self, *, size: int, feature_dim: int, name: str = "encoder") -> None:
        """Keeps the sizes; the layer needs no build.

        Args:
            size: side of the images that it was trained on, in pixels.
            feature_dim: width of the features.
            name: the layer's name.
        """
        # It returns float32, also in models with another dtype policy.
        super().__init__(name=name, dtype="float32", autocast=False)
        self.size = size
        self.feature_dim = feature_dim
        self.built = True

    def __call__(self, images: Any, *, training: bool = False) -> Any:
        """Encodes images.

        Args:
            images: [n, size, size, 3]; a tensor, an array or the input of a functional
                model. Floats in [0, 1], or integers from 0 to 255.
            training: whether batch normalisation uses the statistics of the batch and
                updates its moving statistics.

        Returns:
            float32 [n, feature_dim].

        Raises:
            UserError: if the images have another shape, or numbers far outside their
                range.
        """
        # Checked before Keras, which would put its own text around an error.
        return super().__call__(self._checked(images), training=training)

    def call(self, images: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Encodes images that were checked; see `__call__`."""
        if images.shape[0] == 0:
            # oneDNN's convolution returns a wrong shape for an empty batch.
            return tf.zeros([0, self.feature_dim])
        return self._features(in_unit_interval(images), training=training)

    def compute_output_shape(self, images_shape: tuple[Any, ...]) -> tuple[Any, ...]:
        """Returns (n, feature_dim)."""
        return (images_shape[0], self.feature_dim)

    def endpoints(self, images: Any) -> Mapping[str, tf.Tensor]:
        """Returns the encoder's intermediate features, in inference mode.

        Args:
            images: see `__call__`.

        Returns:
            Name, e.g. `block_group2` -> float [n, height, width, channels].

        Raises:
            UserError: if the encoder has no endpoints; and as `__call__`.
        """
        return self._endpoints(in_unit_interval(self._checked(images)))

    @property
    def _side(self) -> int | None:
        """The side that images must have; None for any."""
        return None

    @abc.abstractmethod
    def _features(self, images: tf.Tensor, *, training: bool) -> tf.Tensor:
        """Encodes float32 images in [0, 1]."""

    @abc.abstractmethod
    def _endpoints(self, images: tf.Tensor) -> Mapping[str, tf.Tensor]:
        """Implements `endpoints` for float32 images in [0, 1]."""

    def _checked(self, images: Any) -> Any:
        if not isinstance(images, keras.KerasTensor):
            images = tf.convert_to_tensor(images)
            check_range(images)
        check_images(images, size=self._side, wanted=self.size)
        return images


class ExportedEncoder(Encoder):
    """An encoder that `sslkit export` wrote as a SavedModel."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Loads the export in a folder."""
        with storage.plainly(os.fspath(path).rstrip("/")) as plain:
            loaded = tf.saved_model.load(plain)
        signature = loaded.signatures["serving_default"]
        (images,) = signature.structured_input_signature[1].values()
        super().__init__(
            size=images.shape[1],
            feature_dim=signature.structured_outputs["features"].shape[-1],
        )
        self._loaded = loaded
        for number, variable in enumerate(loaded.variables):
            self._track_variable(_as_keras(variable, f"loaded_{number}"))

    @property
    def _side(self) -> int | None:
        return self.size

    def _features(self, images: tf.Tensor, *, training: bool) -> tf.Tensor:
        return self._loaded(images, training=training)["features"]

    def _endpoints(self, images: tf.Tensor) -> Mapping[str, tf.Tensor]:
        if not hasattr(self._loaded, "endpoints"):
            raise UserError("the encoder in this export has no endpoints.")
        return self._loaded.endpoints(images)


def _as_keras(variable: tf.Variable, name: str) -> keras.Variable:
    """Returns a Keras variable with the same storage, which a Keras model can train."""
    made = keras.Variable(
        initializer=variable.numpy(),
        dtype=variable.dtype.name,
        trainable=variable.trainable,
        name=name,
    )
    made._value = variable
    return made


class LiveEncoder(Encoder):
    """An encoder whose layers are in this process."""

    def __init__(self, backbone: Backbone, size: int) -> None:
        """Holds a backbone whose images are `size` pixels wide."""
        super().__init__(size=size, feature_dim=backbone.feature_dim)
        self._backbone = backbone

    def _features(self, images: tf.Tensor, *, training: bool) -> tf.Tensor:
        return tf.cast(self._backbone(images, training=training), tf.float32)

    def _endpoints(self, images: tf.Tensor) -> Mapping[str, tf.Tensor]:
        if not hasattr(self._backbone, "endpoints"):
            raise UserError(
                f"the encoder is a {type(self._backbone).__name__}, which has no "
                "endpoints."
            )
        return self._backbone.endpoints(images, training=False)
