"""Building the encoder of a published checkpoint, or of an import."""

from __future__ import annotations

import json
import os

import keras
import tensorflow as tf

from sslkit.checkpoints import assign, find_checkpoint, read
from sslkit.errors import UserError
from sslkit.nn import ResNet
from sslkit.nn.precision import layers_in
from sslkit.published.architecture import Architecture
from sslkit.published.transfer import network_of, restore_published, shapes_of
from sslkit.storage import reaching

DESCRIPTION = "network.json"
"""The file of an import that has the options of its network."""


def is_import(folder: str) -> bool:
    """Returns whether `sslkit import` wrote a folder."""
    return tf.io.gfile.exists(os.path.join(folder, DESCRIPTION))


def imported_encoder(folder: str) -> tuple[ResNet, int]:
    """Builds the encoder that an import holds.

    Args:
        folder: what `sslkit import` wrote.

    Returns:
        The encoder with its weights, and the side of its images in pixels.

    Raises:
        UserError: if weights of the encoder were left out or are damaged.
    """
    path = os.path.join(folder, DESCRIPTION)
    with reaching("the import", folder), tf.io.gfile.GFile(path) as file:
        network = Architecture(**json.loads(file.read()))
    encoder = _built(network)
    prefix = find_checkpoint(folder)
    reader = read(prefix)
    table = {variable.path: variable for variable in encoder.variables}
    missing = [name for name in table if not reader.has_tensor(name)]
    if missing:
        raise UserError(
            f"{prefix} lacks {len(missing)} variables of the encoder, first "
            f"{missing[0]}. Import it again without a --schema that leaves them out."
        )
    assign(table, reader, prefix)
    return encoder, network.side


def _built(network: Architecture) -> ResNet:
    with layers_in("float32"):
        encoder = ResNet(**network.options(), name="encoder")
        encoder(
            keras.KerasTensor((None, network.side, network.side, 3)), training=False
        )
    return encoder


def published_encoder(prefix: str) -> tuple[ResNet, int]:
    """Builds the encoder that a published checkpoint holds.

    Args:
        prefix: of the checkpoint.

    Returns:
        The encoder with its weights, and the side of its images in pixels.

    Raises:
        UserError: if the checkpoint does not hold an encoder, or is damaged.
    """
    reader = read(prefix)
    network = network_of(shapes_of(reader), prefix)
    encoder = _built(network)
    table = {variable.path: variable for variable in encoder.variables}
    restore_published(table, reader, prefix, patterns=["encoder/"])
    return encoder, network.side
