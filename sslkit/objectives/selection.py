"""Sets of candidates for each image, without a matrix of all candidates."""

from __future__ import annotations

import abc
from collections.abc import Callable

import tensorflow as tf

from sslkit.objectives.blocks import fold, fold_and_stack, take


class Selection(abc.ABC):
    """A set of columns for each image of this replica.

    Args:
        batch: b, images of this replica.
        columns: number of candidates.
        block: columns handled at once; None for all.
    """

    def __init__(self, *, batch: int, columns: int, block: int | None = None):
        """Keeps the sizes; see the class."""
        self.batch = batch
        self.columns = columns
        self.block = block

    @abc.abstractmethod
    def mask(self, columns: tf.Tensor) -> tf.Tensor:
        """Returns which of some columns are in the set.

        Args:
            columns: int32 [n], consecutive.

        Returns:
            bool [b, n]; false past the end.
        """

    def sizes(self, *others: Selection) -> list[tf.Tensor]:
        """Counts this set and its intersections with others.

        Returns:
            float32 [b] for this set, then one for each of `others`.
        """

        def count(columns: tf.Tensor, *totals: tf.Tensor) -> list[tf.Tensor]:
            mask = self.mask(columns)
            masks = [mask, *(mask & other.mask(columns) for other in others)]
            return [
                total + tf.reduce_sum(tf.cast(mask, tf.float32), axis=1)
                for total, mask in zip(totals, masks, strict=True)
            ]

        zeros = [tf.zeros([self.batch])] * (1 + len(others))
        return fold(count, zeros, columns=self.columns, block=self.block)

    def sum(self, candidates: tf.Tensor) -> tf.Tensor:
        """Adds up the candidates in each image's set.

        Args:
            candidates: float [columns, D].

        Returns:
            float [b, D], with a gradient for `candidates`.
        """
        dim, dtype = candidates.shape[1], candidates.dtype

        @tf.custom_gradient
        def total(candidates: tf.Tensor) -> tuple[tf.Tensor, Callable]:
            rows = tf.stop_gradient(candidates)

            def forward(columns: tf.Tensor, total: tf.Tensor) -> list[tf.Tensor]:
                mask = tf.cast(self.mask(columns), dtype)
                return [total + mask @ take(rows, columns)]

            zeros = tf.zeros([self.batch, dim], dtype)
            (result,) = fold(forward, [zeros], columns=self.columns, block=self.block)

            def gradient(upstream: tf.Tensor) -> tf.Tensor:
                def backward(columns: tf.Tensor) -> tuple[list[tf.Tensor], tf.Tensor]:
                    mask = tf.cast(self.mask(columns), dtype)
                    return [], tf.matmul(mask, upstream, transpose_a=True)

                _, gradients = fold_and_stack(
                    backward, [], like=rows, columns=self.columns, block=self.block
                )
                return gradients

            return result, gradient

        return total(candidates)


class Listed(Selection):
    """Columns given one by one.

    Args:
        indices: int32 [b, k], distinct in a row; -1 where there are fewer.
        columns: number of candidates.
        block: columns handled at once; None for all.
    """

    def __init__(self, indices: tf.Tensor, *, columns: int, block: int | None = None):
        """Keeps the columns; see the class."""
        super().__init__(batch=indices.shape[0], columns=columns, block=block)
        self.indices = indices

    def mask(self, columns: tf.Tensor) -> tf.Tensor:
        """Implements `Selection.mask`."""
        size = columns.shape[0]
        place = self.indices - columns[0]
        inside = (self.indices >= 0) & (place >= 0) & (place < size)
        row = tf.broadcast_to(tf.range(self.batch)[:, None], place.shape)
        # Columns outside the block are written to an extra column, which is cut off.
        where = tf.stack([row, tf.where(inside, place, size)], axis=-1)
        hits = tf.scatter_nd(where, tf.ones_like(place), [self.batch, size + 1])
        return hits[:, :size] > 0


class Computed(Selection):
    """Columns given by a function.

    Args:
        of: int32 [n], columns -> bool [b, n]; called again whenever the set is needed.
        batch: b, images of this replica.
        columns: number of candidates.
        block: columns handled at once; None for all.
    """

    def __init__(
        self,
        of: Callable[[tf.Tensor], tf.Tensor],
        *,
        batch: int,
        columns: int,
        block: int | None = None,
    ):
        """Keeps the function; see the class."""
        super().__init__(batch=batch, columns=columns, block=block)
        self._of = of

    def mask(self, columns: tf.Tensor) -> tf.Tensor:
        """Implements `Selection.mask`."""
        return self._of(columns) & (columns < self.columns)
