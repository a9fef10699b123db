"""Encoders for users of Python, from whatever holds one."""

from __future__ import annotations

import abc
import os
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from sslkit import config
from sslkit.api import Backbone, UserError
from sslkit.nn import ResNet
from sslkit.train.checkpoints import read
from sslkit.train.initialize import find_checkpoint, initialize
from sslkit.train.tf1.transfer import is_published, network_of, shapes_of
from sslkit.train.workdir import Workdir

_SIDE = {"cifar": 32, "imagenet": 224}


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


def load_encoder(path: str | os.PathLike[str]) -> Encoder:
    """Loads a trained encoder.

    Args:
        path: a run's workdir, an export of `sslkit export`, or a checkpoint of the
            published TensorFlow 1 code such as `model.ckpt-1234`.

    Returns:
        The encoder, on the default device.

    Raises:
        UserError: if there is nothing that holds an encoder.
    """
    path = os.fspath(path)
    if tf.io.gfile.exists(os.path.join(path, "saved_model.pb")):
        return _Exported(path)
    if tf.io.gfile.exists(os.path.join(path, "config.gin")):
        return _from_workdir(path)
    return _from_checkpoint(path)


class _Exported(Encoder):
    def __init__(self, path: str) -> None:
        self._loaded = tf.saved_model.load(path)
        signature = self._loaded.signatures["serving_default"]
        (images,) = signature.structured_input_signature[1].values()
        self.size = images.shape[1]
        self.feature_dim = signature.structured_outputs["features"].shape[-1]
        self.variables = self._loaded.variables
        self.trainable_variables = self._loaded.trainable_variables

    def __call__(self, images: Any, *, training: bool = False) -> tf.Tensor:
        images = tf.convert_to_tensor(images, tf.float32)
        return self._loaded(images, training=training)["features"]

    def endpoints(self, images: Any) -> Mapping[str, tf.Tensor]:
        if not hasattr(self._loaded, "endpoints"):
            raise UserError("the encoder in this export names no endpoints.")
        return self._loaded.endpoints(tf.convert_to_tensor(images, tf.float32))


class _Live(Encoder):
    def __init__(self, backbone: Backbone, size: int) -> None:
        self._backbone = backbone
        self.size = size
        self.feature_dim = backbone.feature_dim
        self.variables = backbone.variables
        self.trainable_variables = backbone.trainable_variables

    def __call__(self, images: Any, *, training: bool = False) -> tf.Tensor:
        images = tf.convert_to_tensor(images, tf.float32)
        return tf.cast(self._backbone(images, training=training), tf.float32)

    def endpoints(self, images: Any) -> Mapping[str, tf.Tensor]:
        if not hasattr(self._backbone, "endpoints"):
            raise UserError(
                f"the encoder is a {type(self._backbone).__name__}, which names no "
                "endpoints."
            )
        images = tf.convert_to_tensor(images, tf.float32)
        return self._backbone.endpoints(images, training=False)


def _from_workdir(path: str) -> Encoder:
    workdir = Workdir(path)
    loaded = config.load([workdir.config()], ["train.runner = @runners.single()"])
    training = loaded.train()
    training.load(workdir)
    return _Live(training.objective.encoder, training.size)


def _from_checkpoint(path: str) -> Encoder:
    try:
        prefix = find_checkpoint(path)
    except UserError as error:
        raise UserError(
            f"{path} holds no encoder: it is neither a run's workdir (with config.gin) "
            "nor an export (with saved_model.pb) nor the prefix of a published "
            "checkpoint (such as model.ckpt-1234)."
        ) from error
    shapes = shapes_of(read(prefix))
    if not is_published(shapes, prefix):
        raise UserError(
            f"{prefix} is one checkpoint of a run and does not say how its encoder is "
            "built. Name the run's workdir."
        )
    network = network_of(shapes, prefix)
    encoder = ResNet(**network.options(), name="encoder")
    size = _SIDE[network.stem]
    encoder(keras.KerasTensor((None, size, size, 3)), training=False)
    initialize({v.path: v for v in encoder.variables}, prefix, ["encoder/"])
    return _Live(encoder, size)
