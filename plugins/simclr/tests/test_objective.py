"""The SimCLR objective: its options, and what it refuses."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from sslkit.api import Backbone, Batch, UserError, Views
from sslkit.objectives import join_views, unit_views
from sslkit_simclr.objective import SimCLR

IMAGES, SIZE = 5, 4


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


def build(images=IMAGES, **options):
    objective = SimCLR(Tiny, **options)
    objective.check_batch(images)
    shape = (objective.requires["instance"], images, SIZE, SIZE, 3)
    objective(
        Batch(
            stacks=Views.of({"instance": keras.KerasTensor(shape)}).stacks,
            label=keras.KerasTensor((images,), dtype="int32"),
        ),
        step=keras.KerasTensor([], dtype="int64"),
    )
    return objective


@pytest.mark.parametrize("block", [0, 3, None])
@pytest.mark.parametrize(("views", "layers"), [(2, 2), (2, 3), (4, 2)])
def test_equals_a_loop(views, layers, block):
    keras.utils.set_random_seed(0)
    objective = build(views=views, projection_layers=layers, block=block)
    assert len(objective.projection.layers) == layers
    pixels = np.random.default_rng(0).uniform(size=[views, IMAGES, SIZE, SIZE, 3])
    batch = Batch(
        Views.of({"instance": tf.constant(pixels, tf.float32)}).stacks,
        tf.zeros([IMAGES], tf.int32),
    )
    outcome = objective(batch, step=tf.constant(0, tf.int64))

    features = objective.encoder(join_views(batch.views, ["instance"]), training=True)
    projected = objective.projection(features, training=True)
    z = np.float64(unit_views(projected, views=views)).reshape(views * IMAGES, -1)
    logits = z @ z.T / 0.1
    total = 0.0
    for row in range(len(z)):
        rest = [k for k in range(len(z)) if k != row]
        positives = [k for k in rest if k % IMAGES == row % IMAGES]
        total += np.log(np.exp(logits[row, rest]).sum()) - logits[row, positives].mean()
    np.testing.assert_allclose(outcome.loss, 2 * total / len(z), rtol=1e-5)
    cosine = (z[:IMAGES] * z[IMAGES : 2 * IMAGES]).sum(1).mean()
    np.testing.assert_allclose(
        outcome.metrics["positive_cosine"], cosine, rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"views": 1}, "views is 1; it must be a whole number, 2 or more"),
        ({"temperature": 0.0}, "temperature is 0.0; it must be a number above 0"),
        (
            {"temperature": float("nan")},
            "temperature is nan; it must be a number above 0",
        ),
        ({"block": -2}, "block is -2"),
        ({"images": 1}, "the global batch is 1 image"),
    ],
)
def test_is_refused_while_it_is_built(options, message):
    with pytest.raises(UserError, match=rf"^(SimCLR\.|simclr: .*){message}"):
        build(**options)
