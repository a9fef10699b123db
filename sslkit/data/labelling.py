"""Which examples of a split have a label: a look before anything is computed."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import tensorflow as tf

from sslkit.data import order

if TYPE_CHECKING:
    from sslkit.source import Source

__all__ = ["LOOK", "Labelling", "labelling"]

LOOK = 1000
"""Examples whose labels are read where a source does not know them."""


class Labelling(NamedTuple):
    """What a look at the labels of a split has found."""

    labelled: int
    """Of those looked at, how many have a label."""
    looked: int
    """How many were looked at: all, or a fixed mixed choice."""
    size: int
    """Examples in the split."""

    @property
    def any(self) -> bool:
        """Whether there is a label."""
        return self.labelled > 0

    @property
    def all(self) -> bool:
        """Whether no label was found missing."""
        return self.labelled == self.looked

    def __str__(self) -> str:
        """Returns e.g. `40 of 90 examples have a label`."""
        found = f"{self.labelled:,} of {self.looked:,} examples"
        if self.looked < self.size:
            found += f" looked at, of {self.size:,},"
        return f"{found} have a label"


def labelling(source: Source, *, limit: int | None = None) -> Labelling:
    """Looks at the labels of a split, or of the part of it that will be used.

    Where the source knows its labels it looks at all that are asked for, otherwise at
    `LOOK` of them at most. An example that cannot be read has no label.

    Args:
        source: the split.
        limit: as of `evaluation_batches`, whose choice of examples it is.
    """
    if source.classes is None:
        return Labelling(0, source.size, source.size)
    known = source.labels()
    most = source.size if known is not None else LOOK
    count = min(source.size, most if limit is None else min(limit, most))
    places = order.mixed(tf.range(count, dtype=tf.int64), size=source.size)
    if known is not None:
        found = known[places.numpy()]
    else:
        read = (
            tf.data.Dataset.from_tensor_slices(places)
            .map(source.label, num_parallel_calls=tf.data.AUTOTUNE)
            .ignore_errors()
        )
        found = np.array(list(read.as_numpy_iterator()), np.int32)
    return Labelling(int(np.sum(found >= 0)), count, source.size)
