"""Similarity scores of candidates and images, and the highest of them."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

from sslkit import replica
from sslkit.objectives.blocks import fold, take
from sslkit.objectives.selection import Computed


class Scores:
    """Scores of candidates against the views of each image of this replica.

    A score is the greatest (or the mean) cosine similarity over the views of the image
    (Huynh et al. 2022, section 3.3). Candidates that show the image itself have no
    score. Scores pass no gradient.

    Args:
        references: float [S, b, D], views of this replica's images, unit vectors.
        candidates: float [columns, D]; the first `views` * B are the global batch,
            view-major.
        views: how many views of each image are among the candidates.
        aggregate: `max` or `mean`, over the references.
        labels: int32 [b] and int32 [columns], of images and candidates; negative if
            unknown. None without labels.
        written: int32 [], how many candidates there are so far; None for all.
        block: columns handled at once; None for all.
    """

    def __init__(
        self,
        references: tf.Tensor,
        candidates: tf.Tensor,
        *,
        views: int,
        aggregate: str = "max",
        labels: tuple[tf.Tensor, tf.Tensor] | None = None,
        written: tf.Tensor | None = None,
        block: int | None = None,
    ):
        """Keeps the tensors; see the class."""
        references = tf.stop_gradient(references)
        self._references = (
            tf.reduce_mean(references, axis=0, keepdims=True)
            if aggregate == "mean"
            else references
        )
        self._candidates = tf.stop_gradient(candidates)
        self._labels = labels
        self._written = written
        self.batch = references.shape[1]
        self.columns = candidates.shape[0]
        self.block = block
        self._total = self.batch * replica.count()
        self._views = views

    @property
    def others(self) -> int:
        """The number of candidates that show other images than a given one."""
        return self.columns - self._views

    @property
    def others_written(self) -> tf.Tensor | int:
        """How many of `others` there are so far; int32 [] if that changes over time."""
        return self.others if self._written is None else self._written - self._views

    def of(self, columns: tf.Tensor) -> tf.Tensor:
        """Returns the scores of some columns, int32 [n] -> float [b, n].

        A column that is not a candidate of an image has the lowest number of its dtype.
        """
        count, batch, dim = self._references.shape
        flat = tf.reshape(self._references, [count * batch, dim])
        products = tf.matmul(flat, take(self._candidates, columns), transpose_b=True)
        scores = tf.reduce_max(tf.reshape(products, [count, batch, -1]), axis=0)
        return tf.where(self.candidate(columns), scores, scores.dtype.min)

    def candidate(self, columns: tf.Tensor) -> tf.Tensor:
        """Returns which columns show other images, int32 [n] -> bool [b, n]."""
        place = replica.index() * self.batch + tf.range(self.batch)
        in_batch = columns < self._views * self._total
        image = tf.where(in_batch, columns % self._total, -1)
        end = self.columns if self._written is None else self._written
        return (image != place[:, None]) & (columns < end)

    def alike(self, columns: tf.Tensor) -> tf.Tensor:
        """Returns which candidates have the image's label, int32 [n] -> bool [b, n].

        Raises:
            ValueError: if there are no labels.
        """
        own, others = self._both_labels(columns)
        return (own == others) & self.labelled(columns)

    def labelled(self, columns: tf.Tensor) -> tf.Tensor:
        """Returns where image and candidate have labels, int32 [n] -> bool [b, n].

        Raises:
            ValueError: if there are no labels.
        """
        own, others = self._both_labels(columns)
        return (own >= 0) & (others >= 0) & self.candidate(columns)

    def _both_labels(self, columns: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        if self._labels is None:
            raise ValueError("these scores were made without labels")
        own, others = self._labels
        return own[:, None], take(others, columns)

    def computed(self, of: Callable[[tf.Tensor], tf.Tensor]) -> Computed:
        """Makes a selection from a function of columns; see `Computed`."""
        return Computed(of, batch=self.batch, columns=self.columns, block=self.block)

    def best(self, count: int) -> tuple[tf.Tensor, tf.Tensor]:
        """Finds each image's candidates with the highest scores, block by block.

        Equal scores are taken in the order of their columns.

        Args:
            count: how many, at most `columns`.

        Returns:
            Scores, float [b, count], in falling order; and their columns, int32 [b,
            count]. If an image has fewer candidates, the rest are the lowest number of
            the dtype and -1.
        """
        dtype = self._references.dtype

        def keep(
            columns: tf.Tensor, scores: tf.Tensor, places: tf.Tensor
        ) -> list[tf.Tensor]:
            # Those kept so far come first, so they are taken if scores are equal.
            found = self.of(columns)
            scores = tf.concat([scores, found], axis=1)
            new = tf.broadcast_to(columns[None], found.shape)
            places = tf.concat([places, new], axis=1)
            scores, best = tf.math.top_k(scores, count)
            return [scores, tf.gather(places, best, batch_dims=1)]

        start = [
            tf.fill([self.batch, count], tf.constant(dtype.min, dtype)),
            tf.fill([self.batch, count], -1),
        ]
        scores, places = fold(keep, start, columns=self.columns, block=self.block)
        return scores, tf.where(scores > dtype.min, places, -1)
