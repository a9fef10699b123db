"""A run that takes a second: images in memory, noisy views, a small MoCo."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from sslkit.api import (
    Augmentation,
    Backbone,
    Batch,
    Objective,
    Outcome,
    Runner,
    ViewGroup,
    Views,
)
from sslkit.data.batches import training_batches
from sslkit.nn import MemoryBank, MomentumTwin, ProjectionHead
from sslkit.objectives import gather_view_major, join_views, multi_view_nt_xent
from sslkit.optimize.momentum import Momentum
from sslkit.randomness import uniform, view_seed
from sslkit.source import Source
from sslkit.testing.backbone import TinyBackbone
from sslkit.testing.precision import precision
from sslkit.testing.short_run import BATCH, RATE, SIZE, STEPS, Even, images
from sslkit.training.state import TrainState
from sslkit.training.step import TrainStep


class Pictures(Source):
    """Labelled images of 8 x 8 pixels, in memory."""

    def __init__(self, size: int = 5 * BATCH):
        """Draws the images."""
        batches = [images({"": 1}, step=n)[""][0] for n in range(-(-size // BATCH))]
        self.name = "pictures"
        self.size = size
        self.classes = 4
        self.label_names = ()
        self._images = np.concatenate(batches)[:size]

    def example(self, index: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns an image and its label; see `Source.example`."""
        return tf.constant(self._images)[index], tf.cast(index % 4, tf.int32)


class NoisyViews(Augmentation):
    """Every view is the image with different noise."""

    def __init__(self, counts: Mapping[str, int]):
        """Keeps group -> number of views."""
        self._groups = {name: ViewGroup(count, SIZE) for name, count in counts.items()}

    @property
    def groups(self) -> Mapping[str, ViewGroup]:
        """The groups."""
        return self._groups

    def example(self, image: tf.Tensor, seed: tf.Tensor) -> dict[str, tf.Tensor]:
        """Makes the views of one image; see `Augmentation.example`."""
        made = {}
        for number, (name, (count, size)) in enumerate(self._groups.items()):
            shape = [count, size, size, 3]
            key = view_seed(seed, number)[tf.newaxis]
            noise = uniform(key, count * size * size * 3)[0]
            shown = tf.cast(image, tf.float32) + 40 * tf.reshape(noise, shape)
            made[name] = tf.cast(tf.clip_by_value(shown, 0, 255), tf.uint8)
        return made


class ToyMoCo(Objective):
    """A small MoCo, with everything that must be equal on all replicas.

    These are statistics, negatives, a memory bank and a momentum twin.

    He et al. 2020 (arXiv:1911.05722).

    Args:
        backbone: makes the encoder and its momentum twin.
        name: the layer's name.
    """

    def __init__(self, backbone: Callable[..., Backbone], *, name: str = "toy"):
        """Makes the layers; see the class."""
        super().__init__(name=name)

        def head() -> ProjectionHead:
            return ProjectionHead(layers=2, dim=8, name="projection")

        self.encoder = backbone(name="encoder")
        self.projection = head()
        self.momentum = MomentumTwin([backbone(name="encoder"), head()], name="twin")
        self.bank = MemoryBank(batches=4, views=2, name="bank")

    @property
    def requires(self) -> Mapping[str, int]:
        """Two views."""
        return {"instance": 2}

    def call(self, batch: Batch, *, step: tf.Tensor) -> Outcome:
        """Implements `Objective.call`."""
        shown = join_views(batch.views, self.requires)
        online = self.projection(self.encoder(shown, training=True), training=True)
        anchors = tf.reshape(tf.math.l2_normalize(online, 1), [2, -1, 8])
        keys = tf.math.l2_normalize(self.momentum(shown, training=True), 1)
        bank = self.bank(gather_view_major(tf.reshape(keys, [2, -1, 8])))
        return Outcome(multi_view_nt_xent(anchors, bank.rows, temperature=0.2), {})

    def after_update(self, *, step: tf.Tensor) -> None:
        """Implements `Objective.after_update`."""
        self.momentum.follow([self.encoder, self.projection], decay=0.9)


class ToyRun(NamedTuple):
    """The results of a toy run."""

    losses: np.ndarray
    """float32 [steps]."""
    table: dict[str, np.ndarray]
    """Every variable, by name; float64."""


def train_on(
    runner: Runner,
    make: Callable[..., Objective] = ToyMoCo,
    *,
    steps: int = STEPS,
) -> ToyRun:
    """Trains a few steps in float64 with a runner's own iterator and loop.

    Args:
        runner: the runner to train with.
        make: makes the objective from a backbone factory.
        steps: the number of updates.
    """
    place = runner.strategy
    replicas = place.num_replicas_in_sync
    source, optimizer = Pictures(), Momentum(nesterov=False)
    with precision("float64") as dtype:
        views = _Exact(make(TinyBackbone).requires, dtype)
        state = TrainState(
            lambda: make(TinyBackbone),
            optimizer,
            strategy=place,
            groups=views.groups,
            batch_size=BATCH // replicas,
            seed=1,
            steps=steps,
            examples=source.size,
        )
        step = TrainStep(
            state,
            views,
            optimizer,
            Even(RATE, dtype),
            steps=steps,
            batch_size=BATCH,
            examples=source.size,
            seed=0,
        )
        iterator = runner.iterate(
            lambda context: training_batches(
                source,
                views,
                seed=0,
                batch_size=BATCH,
                start_step=0,
                stop_step=steps,
                context=context,
            )
        )
        advance = runner.compile(
            lambda batch: {"loss": tf.cast(step(batch)["loss"], tf.float32)}, ["loss"]
        )
        losses = [float(advance(iterator, tf.constant(1))[0, 0]) for _ in range(steps)]
    return ToyRun(
        np.array(losses, np.float32),
        {name: variable.numpy() for name, variable in state.table.items()},
    )


class _Exact(NoisyViews):
    """Noisy views as float64 on the device."""

    def __init__(self, counts: Mapping[str, int], dtype: str):
        super().__init__(counts)
        self._dtype = dtype

    def batch(
        self, views: Views, *, step_seed: tf.Tensor, example_seeds: tf.Tensor
    ) -> Views:
        return views.map(lambda stack: tf.image.convert_image_dtype(stack, self._dtype))
