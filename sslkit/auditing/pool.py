"""Some images of a run, their views, and their embeddings by the run's objective."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping

import numpy as np
import tensorflow as tf

from sslkit import randomness
from sslkit.api import Augmentation, Compared, Objective, Source, Views
from sslkit.batch import view_major
from sslkit.data import order

_ENCODED = 256
"""The largest batch of images that is encoded at once."""


@contextlib.contextmanager
def _kept(objective: Objective) -> Iterator[None]:
    """Restores the state that training mode changes, such as moving statistics."""
    state = [(v, v.numpy()) for v in objective.non_trainable_variables]
    try:
        yield
    finally:
        for variable, value in state:
            variable.assign(value)


class Pool:
    """The first images in the order of a run, in rounds of images that are compared.

    Args:
        objective: the objective, built.
        source: the training split.
        augmentation: makes the views.
        seed: the seed of the run.
        batch_size: the global batch size of the run.
        most: how many images to take at most.

    Attributes:
        images: the number of images.
        round: how many images are compared with each other: as many as in training, if
            there are enough.
        indices: int64 [images], their places in the source.
    """

    def __init__(
        self,
        objective: Objective,
        source: Source,
        augmentation: Augmentation,
        *,
        seed: int,
        batch_size: int,
        most: int,
    ):
        """Chooses the images, without reading them."""
        self._objective = objective
        self._source = source
        self._augmentation = augmentation
        self._seed = seed
        most = min(most, source.size)
        self.round = min(objective.compared_images(batch_size), most)
        self._rows = min(batch_size, most, _ENCODED)
        self.images = most // self.round * self.round
        positions = tf.range(self.images, dtype=tf.int64)
        _, indices = order.index_at(positions, seed=seed, size=source.size)
        self.indices: np.ndarray = indices.numpy()
        self._encode = self._encoder()

    def embedded(self, draw: int) -> tuple[Compared, np.ndarray]:
        """Embeds all images with the present weights; no state changes.

        Args:
            draw: the number of the epoch whose views of the images are embedded.

        Returns:
            Float32 [S, images, D] and [V, images, D], and labels int32 [images], -1 for
            images without a label.
        """
        references, candidates, labels = [], [], []
        with _kept(self._objective):
            for views, seeds, label, rows in self._batches(draw):
                found = self._encode(views, seeds)
                references.append(found.references.numpy()[:, :rows])
                candidates.append(found.candidates.numpy()[:, :rows])
                labels.append(label.numpy()[:rows])
        both = (np.concatenate(parts, axis=1) for parts in (references, candidates))
        return Compared(*both), np.concatenate(labels)

    def rounds(self) -> Iterator[slice]:
        """Yields the images of each round."""
        for first in range(0, self.images, self.round):
            yield slice(first, first + self.round)

    def _encoder(self) -> Callable[..., Compared]:
        @tf.function(autograph=False)
        def encode(views: Mapping[str, tf.Tensor], seeds: tf.Tensor) -> Compared:
            step = randomness.step_seed(self._seed, 0)
            made = self._augmentation.batch(
                view_major(views), step_seed=step, example_seeds=seeds
            )
            with randomness.drawing(step, seeds):
                found = self._objective.compared(Views.of(made))
            return Compared(*(tf.cast(side, tf.float32) for side in found))

        return encode

    def _batches(
        self, draw: int
    ) -> Iterator[tuple[Mapping[str, tf.Tensor], tf.Tensor, tf.Tensor, int]]:
        """Yields views, seeds and labels of a batch of images, and how many count.

        All batches have the same size, so that one compiled program is enough. The last
        batch is filled up with images from the start, which do not count.
        """

        @tf.autograph.experimental.do_not_convert
        def example(index: tf.Tensor) -> tuple[Mapping[str, tf.Tensor], ...]:
            seed = randomness.example_seed(
                self._seed, tf.constant(draw, tf.int64), index
            )
            image, label, _ = self._source.search(index)
            views = self._augmentation.example(image, seed)
            shaped = {
                name: tf.ensure_shape(views[name], [count, size, size, 3])
                for name, (count, size) in self._augmentation.groups.items()
            }
            return shaped, seed, label

        rest = -self.images % self._rows
        places = np.concatenate([self.indices, self.indices[:rest]])
        data = (
            tf.data.Dataset.from_tensor_slices(places)
            .map(example, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
            .batch(self._rows, drop_remainder=True)
            .prefetch(2)
        )
        left = self.images
        for views, seeds, label in data:
            yield views, seeds, label, min(self._rows, left)
            left -= self._rows
