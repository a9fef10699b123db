"""The examples of one split: their names, and their images as the encoder gets them."""

from __future__ import annotations

import concurrent.futures
import functools
import os
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from sslkit.page.thumbnails import shrunk
from sslkit.source import Source
from sslkit.views.crop import evaluation_view

_READERS = 8


class Album:
    """Names and images of a source's examples.

    Args:
        source: the source.
        size: side of the encoder's images, in pixels.
    """

    def __init__(self, source: Source, size: int):
        """Keeps the arguments; reads nothing yet."""
        self.source = source
        self._size = size

    def class_name(self, label: int) -> str:
        """Returns a class's name; `class 3` if it has no name, empty without label."""
        if label < 0:
            return ""
        if label < len(self.source.label_names):
            return self.source.label_names[label]
        return f"class {label}"

    def name(self, index: int) -> str:
        """Returns the name of an example's file, or its number."""
        file = self.source.file(index)
        return f"example {index}" if file is None else os.path.basename(file)

    def title(self, index: int, label: int) -> str:
        """Returns the name of an example, and its class."""
        name = self.class_name(label)
        return f"{self.name(index)} ({name})" if name else self.name(index)

    def images(self, indices: Sequence[int], side: int) -> np.ndarray:
        """Reads examples as the encoder gets them, and makes large ones smaller.

        Args:
            indices: the indices of the examples.
            side: the largest side, in pixels.

        Returns:
            uint8 [n, s, s, 3]; black for an image that cannot be read.
        """
        side = min(side, self._size)
        found = np.zeros([len(indices), side, side, 3], np.uint8)
        with concurrent.futures.ThreadPoolExecutor(_READERS) as pool:
            views = pool.map(
                self._view, [tf.constant(one, tf.int64) for one in indices]
            )
            for place, view in enumerate(views):
                found[place] = shrunk(view, side).numpy()
        return found

    @functools.cached_property
    def _view(self) -> Callable[[tf.Tensor], tf.Tensor]:
        @tf.function(autograph=False, input_signature=[tf.TensorSpec([], tf.int64)])
        def view(index: tf.Tensor) -> tf.Tensor:
            return evaluation_view(self.source.attempt(index)[0], size=self._size)

        # Traced once, before several threads call it.
        return view.get_concrete_function()
