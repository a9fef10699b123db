"""A trained encoder, as users of Python hold it."""

from __future__ import annotations

import abc
from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf

from sslkit import storage
from sslkit.api import Backbone, UserError


class Encoder(abc.ABC):
    """A trained encoder: images to features.

    Attributes:
        size: side of the images that it was trained on, in pixels.
        feature_dim: width of the features.
        variables: all its variables.
        trainable_variables: those that a gradient should move.
    """

    size: int
    feature_dim: int
    variables: Sequence[Any]
    trainable_variables: Sequence[Any]

    @abc.abstractmethod
    def __call__(self, images: Any, *, training: bool = False) -> tf.Tensor:
        """Encodes images.

        Args:
            images: [n, size, size, 3] in [0, 1]; a tensor or array.
            training: whether batch normalisation uses its batch and moves its
                statistics.

        Returns:
            float32 [n, feature_dim].
        """

    @abc.abstractmethod
    def endpoints(self, images: Any) -> Mapping[str, tf.Tensor]:
        """Returns what the encoder computes on the way, in inference mode.

        Args:
            images: see `__call__`.

        Returns:
            Name, e.g. `block_group2` -> float [n, height, width, channels].

        Raises:
            UserError: if the encoder names no endpoints.
        """


class ExportedEncoder(Encoder):
    """An encoder that `sslkit export` wrote as a SavedModel."""

    def __init__(self, path: str) -> None:
        """Loads the export in a folder."""
        with storage.plainly(path.rstrip("/")) as plain:
            self._loaded = tf.saved_model.load(plain)
        signature = self._loaded.signatures["serving_default"]
        (images,) = signature.structured_input_signature[1].values()
        self.size = images.shape[1]
        self.feature_dim = signature.structured_outputs["features"].shape[-1]
        self.variables = self._loaded.variables
        self.trainable_variables = self._loaded.trainable_variables

    def __call__(self, images: Any, *, training: bool = False) -> tf.Tensor:
        """Implements `Encoder.__call__`."""
        images = tf.convert_to_tensor(images, tf.float32)
        return self._loaded(images, training=training)["features"]

    def endpoints(self, images: Any) -> Mapping[str, tf.Tensor]:
        """Implements `Encoder.endpoints`."""
        if not hasattr(self._loaded, "endpoints"):
            raise UserError("the encoder in this export names no endpoints.")
        return self._loaded.endpoints(tf.convert_to_tensor(images, tf.float32))


class LiveEncoder(Encoder):
    """An encoder whose layers are in this process."""

    def __init__(self, backbone: Backbone, size: int) -> None:
        """Holds a backbone whose images are `size` pixels wide."""
        self._backbone = backbone
        self.size = size
        self.feature_dim = backbone.feature_dim
        self.variables = backbone.variables
        self.trainable_variables = backbone.trainable_variables

    def __call__(self, images: Any, *, training: bool = False) -> tf.Tensor:
        """Implements `Encoder.__call__`."""
        images = tf.convert_to_tensor(images, tf.float32)
        return tf.cast(self._backbone(images, training=training), tf.float32)

    def endpoints(self, images: Any) -> Mapping[str, tf.Tensor]:
        """Implements `Encoder.endpoints`."""
        if not hasattr(self._backbone, "endpoints"):
            raise UserError(
                f"the encoder is a {type(self._backbone).__name__}, which names no "
                "endpoints."
            )
        images = tf.convert_to_tensor(images, tf.float32)
        return self._backbone.endpoints(images, training=False)
