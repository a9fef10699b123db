"""The contract of backbones, which encode images."""

from __future__ import annotations

import abc
from typing import Protocol, runtime_checkable

import keras
import tensorflow as tf

__all__ = ["Backbone", "Freezable"]


class Backbone(keras.layers.Layer, abc.ABC):
    """An encoder: images to one feature vector each."""

    @property
    @abc.abstractmethod
    def feature_dim(self) -> int:
        """Width of the feature vector; known before any variable exists."""

    @abc.abstractmethod
    def call(self, images: tf.Tensor, *, training: bool) -> tf.Tensor:
        """Encodes images.

        Args:
            images: float32 [n, size, size, 3] in [0, 1].
            training: whether batch normalisation uses (and tracks) batch statistics.
                Dropout and stochastic depth act only in training, and draw random
                numbers by `sslkit.randomness.draw`.

        Returns:
            float32 [n, feature_dim].
        """

    def describe(self) -> str:
        """Returns a description for the log and the model card, once it is built.

        If something depends on the size of the images, the description has the choice.
        """
        return f"{type(self).__name__}, {self.feature_dim} features"


@runtime_checkable
class Freezable(Protocol):
    """A backbone of which only a part can be trained."""

    def freeze(self, *, through: int) -> None:
        """Freezes the first blocks.

        Args:
            through: the last block that is frozen, counted from the images; 0 is the
                stem, the layers before the first block.
        """
