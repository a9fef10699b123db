"""A source whose decoded images stay in memory, for small data."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from sslkit.data.decoded import Decoded, Table, decode_all
from sslkit.errors import UserError
from sslkit.source import Source

__all__ = ["InMemory"]

LARGEST = 8 * 2**30
"""The most bytes of decoded images that are kept."""


class InMemory(Decoded):
    """Reads and decodes a whole source once and keeps its pixels."""

    def __init__(self, source: Source) -> None:
        """Reads all examples.

        Args:
            source: the source whose images are kept.

        Raises:
            UserError: if the images take more than `LARGEST` bytes; see `decode_all`.
        """
        images, labels, read, total = [], [], [], 0
        for image, label, ok in decode_all(source):
            total += image.nbytes
            if total > LARGEST:
                raise UserError(
                    f"the images of {source.name} take more than "
                    f"{LARGEST / 2**30:g} GiB decoded; set data.cache = 'disk' or None"
                )
            images.append(image)
            labels.append(label)
            read.append(ok)
        shapes = np.array([image.shape for image in images], np.int32)
        super().__init__(source, Table(shapes, np.array(labels), np.array(read)))
        with tf.device("CPU:0"):
            self._pixels = tf.constant(np.concatenate([i.ravel() for i in images]))

    def pixels(self) -> tf.Tensor:
        """Returns the pixels of all images; see `Decoded.pixels`."""
        return self._pixels
