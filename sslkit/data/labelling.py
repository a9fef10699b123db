"""How many examples of a split have a label, found before anything is computed."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import tensorflow as tf

from sslkit.data import order

if TYPE_CHECKING:
    from sslkit.source import Source

__all__ = ["LOOK", "Labelling", "labelling"]

LOOK = 1000
"""Examples whose labels are read if a source does not know all labels."""


class Labelling(NamedTuple):
    """How many examples of a split have a label."""

    labelled: int
    """How many of the examined examples have a label."""
    looked: int
    """How many were examined: all, or a fixed choice from the whole split."""
    size: int
    """Examples in the split."""

    @property
    def any(self) -> bool:
        """Whether a label was found."""
        return self.labelled > 0

    @property
    def all(self) -> bool:
        """Whether all examined examples have a label."""
        return self.labelled == self.looked

    def __str__(self) -> str:
        """Returns e.g. `40 of 90 examples have a label`."""
        found = f"{self.labelled:,} of {self.looked:,} examples"
        if self.looked < self.size:
            found += f" looked at, of {self.size:,},"
        return f"{found} have a label"


def labelling(source: Source, *, limit: int | None = None) -> Labelling:
    """Examines the labels of a split, or of the part of it that will be used.

    If the source knows its labels, all of them are examined, otherwise `LOOK` at most.
    An example that cannot be read counts as one without a label.

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
