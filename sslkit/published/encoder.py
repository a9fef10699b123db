"""The encoder of a published checkpoint, built and filled."""

from __future__ import annotations

import keras

from sslkit.checkpoints import read
from sslkit.nn import ResNet
from sslkit.published.transfer import network_of, restore_published, shapes_of


def published_encoder(prefix: str) -> tuple[ResNet, int]:
    """Builds the encoder that a published checkpoint holds.

    Args:
        prefix: of the checkpoint.

    Returns:
        The encoder with its weights, and the side of its images in pixels.

    Raises:
        UserError: if the checkpoint holds none or is damaged.
    """
    reader = read(prefix)
    network = network_of(shapes_of(reader), prefix)
    encoder = ResNet(**network.options(), name="encoder")
    encoder(keras.KerasTensor((None, network.side, network.side, 3)), training=False)
    table = {variable.path: variable for variable in encoder.variables}
    restore_published(table, reader, prefix, patterns=["encoder/"])
    return encoder, network.side
