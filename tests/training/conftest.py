"""A small run: four weights, images in memory."""

from __future__ import annotations

import functools

import pytest
import tensorflow as tf
from training.rehearsal import Rehearsed

from sslkit import replica
from sslkit.api import Backbone, Objective, Outcome, ViewGroup
from sslkit.optimize.momentum import Momentum
from sslkit.training.state import TrainState


class Colour(Backbone):
    """The mean colour, each channel times a weight."""

    feature_dim = 3

    def __init__(self, *, name="encoder"):
        super().__init__(name=name)

    def build(self, shape):
        self.scale = self.add_weight(name="scale", shape=(3,), initializer="ones")

    def call(self, images, *, training):
        return tf.reduce_mean(images, [1, 2]) * self.scale


class Brightness(Objective):
    """Its loss is the mean of the features; its state, the weights after an update."""

    def __init__(self, backbone, *, name="brightness"):
        super().__init__(name=name)
        self.encoder = backbone(name="encoder")

    @property
    def requires(self):
        return {"instance": 1}

    def build(self, *shapes, **named):
        self.seen = self.add_weight(name="seen", shape=(3,), trainable=False)
        self.seen_step = self.add_weight(
            name="seen_step", shape=(), dtype="int64", trainable=False
        )

    def call(self, batch, *, step):
        features = self.encoder(batch.views["instance"][0], training=True)
        metrics = {"row": tf.reduce_mean(tf.cast(batch.label, tf.float32))}
        return Outcome(tf.reduce_mean(features), metrics)

    def after_update(self, *, step):
        weights = tf.convert_to_tensor(self.encoder.scale.value)
        replica.assign([self.seen, self.seen_step], [weights, step])


@pytest.fixture
def built():
    """Builds a state; any part may be replaced."""

    def build(objective=Brightness, *, optimizer=None, place=None, **options):
        return TrainState(
            functools.partial(objective, Colour),
            optimizer or Momentum(nesterov=False),
            strategy=place or tf.distribute.OneDeviceStrategy("CPU:0"),
            groups=options.pop("groups", {"instance": ViewGroup(1, 4)}),
            batch_size=4,
            seed=0,
            **options,
        )

    return build


@pytest.fixture
def objective():
    """The objective's class, to derive others."""
    return Brightness


@pytest.fixture
def rehearse(tmp_path, table):
    """Returns a loop without a device; see `Rehearsed`."""
    return lambda **options: Rehearsed(tmp_path, table(step=0), **options)
