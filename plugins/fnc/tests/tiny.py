"""A small objective for tests, and its loss written out as loops."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf

from sslkit.api import Backbone, Batch
from sslkit.objectives import join_views, unit_views
from sslkit_fnc.objective import FNC

SIZE, IMAGES, DIM = 4, 6, 8


class Tiny(Backbone):
    """One dense layer on the pixels."""

    def __init__(self, *, name):
        super().__init__(name=name)
        self.dense = keras.layers.Dense(10, name="dense")

    @property
    def feature_dim(self):
        return 10

    def build(self, shape):
        self.dense.build((None, SIZE * SIZE * 3))

    def call(self, images, *, training):
        return self.dense(tf.reshape(images, [images.shape[0], SIZE * SIZE * 3]))


def build(images=IMAGES, *, steps=None, examples=None, **options):
    """Makes an objective with variables, as the core does."""
    keras.utils.set_random_seed(1)
    settings = {"support": 2, "bank": 5, "topk": 3, "threshold": 0.1, **options}
    objective = FNC(Tiny, projection_layers=2, projection_dim=DIM, **settings)
    objective.steps, objective.examples = steps, examples
    objective.check_batch(images)
    objective(
        Batch(
            stacks={
                layout_of(objective): keras.KerasTensor(
                    (count_of(objective), images, SIZE, SIZE, 3)
                )
            },
            label=keras.KerasTensor((images,), dtype="int32"),
            index=keras.KerasTensor((images,), dtype="int32"),
        ),
        step=keras.KerasTensor([], dtype="int32"),
    )
    objective.after_build()
    return objective


def layout_of(objective):
    return tuple(objective.requires.items())


def count_of(objective):
    return sum(objective.requires.values())


def batch(objective, seed, labels=(0, 1, 2, 0, 1, 0), index=tuple(range(IMAGES))):
    rng = np.random.default_rng(seed)
    pixels = rng.uniform(size=[count_of(objective), IMAGES, SIZE, SIZE, 3])
    return Batch(
        stacks={layout_of(objective): tf.constant(pixels, tf.float32)},
        label=tf.constant(labels, tf.int32),
        index=tf.constant(index, tf.int32),
    )


def embed(objective, views, groups, *, momentum):
    """Embeds groups in one pass, as [V, b, D] in float64."""
    images = join_views(views, groups)
    if momentum:
        projected = objective.momentum(images, training=True)
    else:
        features = objective.encoder(images, training=True)
        projected = objective.projection(features, training=True)
    count = sum(objective.requires[group] for group in groups)
    return np.float64(unit_views(projected, views=count))


def candidates_of(image, columns, views):
    """The columns that show other images than this one."""
    return [k for k in range(columns) if k >= views * IMAGES or k % IMAGES != image]


def scores_of(references, candidates, aggregate):
    """[b, columns]"""
    similar = np.einsum("sbd,kd->sbk", references, candidates)
    return {"max": similar.max(0), "mean": similar.mean(0)}[aggregate]


def loss_of(anchors, candidates, found, *, mode, written, temperature=0.1):
    """The loss anchor by anchor; `found` is image -> columns."""
    views = len(anchors)
    total = 0.0
    for a in range(views):
        for i in range(IMAGES):
            own = [v * IMAGES + i for v in range(views)]
            logits = candidates @ anchors[a, i] / temperature
            more = found[i] if mode == "attract" else []
            gone = {own[a], *(found[i] if mode == "eliminate" else [])}
            rest = [k for k in range(written) if k not in gone]
            positives = [k for k in [*own, *more] if k != own[a]]
            total += np.log(np.exp(logits[rest]).sum()) - logits[positives].mean()
    return 2 / views * total / IMAGES
