"""Backbones, each with one bug."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf

from sslkit import randomness, replica
from sslkit.api import Backbone
from sslkit.nn import BatchNorm


class Encoder(Backbone):
    """Dense and normalised; healthy.

    Args:
        name: the layer's name.
    """

    feature_dim = 4
    cross_replica = True

    def __init__(self, *, name="encoder"):
        super().__init__(name=name)
        self.dense = self.make_dense()
        self.norm = BatchNorm(cross_replica=self.cross_replica, name="norm")

    def make_dense(self):
        return keras.layers.Dense(4, name="dense")

    def call(self, images, *, training):
        flat = tf.reshape(images, [-1, 8 * 8 * 3])
        return self.finish(self.norm(self.project(flat), training=training), training)

    def project(self, flat):
        return tf.cast(self.dense(flat), self.variable_dtype)

    def finish(self, x, training):
        return x


class OtherWidth(Encoder):
    feature_dim = 5


class HalfFeatures(Encoder):
    def finish(self, x, training):
        return tf.cast(x, self.compute_dtype)


class Noisy(Encoder):
    def finish(self, x, training):
        if training:
            return x
        return x + tf.random.normal([4], dtype=x.dtype)


class KeyedNoise(Encoder):
    """Drops features, others for each example and step; healthy.

    Args:
        name: the layer's name.
    """

    def finish(self, x, training):
        noise = (
            randomness.draw(self.path, rows=x.shape[0], count=4) if training else None
        )
        return x if noise is None else x * tf.cast(noise < 0.5, x.dtype)


class GlobalNoise(Encoder):
    def finish(self, x, training):
        return x * tf.random.uniform(x.shape, dtype=x.dtype) if training else x


class NoiseInInference(Encoder):
    def finish(self, x, training):
        noise = randomness.draw(self.path, rows=x.shape[0], count=4)
        return x if noise is None else x * tf.cast(noise, x.dtype)


class NoiseByPlace(Encoder):
    def finish(self, x, training):
        if not training:
            return x
        return x * tf.random.stateless_uniform(x.shape, (1, 2), dtype=x.dtype)


class BatchStatisticsAlways(Encoder):
    def finish(self, x, training):
        return x - replica.mean(tf.reduce_mean(x, axis=0))


class TracksAlways(Encoder):
    def build(self, shape):
        self.dense.build((None, 8 * 8 * 3))
        self.norm.build((None, 4))
        self.seen = self.add_weight(
            name="seen",
            initializer="zeros",
            trainable=False,
            aggregation="only_first_replica",
        )

    def finish(self, x, training):
        replica.assign([self.seen], [self.seen + 1.0])
        return x


class MovesWeights(Encoder):
    def finish(self, x, training):
        if training:
            self.dense.bias.assign(self.dense.bias + 1.0)
        return x


class NeverFrozen(Encoder):
    def call(self, images, *, training):
        self.dense.trainable = True
        return super().call(images, training=training)


class UnseededEncoder(Encoder):
    def make_dense(self):
        start = keras.initializers.Constant(np.random.default_rng().normal(size=4))
        return keras.layers.Dense(4, bias_initializer=start, name="dense")


class NamelessDense(Encoder):
    def make_dense(self):
        return keras.layers.Dense(4)


class OtherName(Encoder):
    def __init__(self, *, name="encoder"):
        super().__init__(name="mine")


class UnusedDense(Encoder):
    def project(self, flat):
        projected = super().project(flat)
        bias = tf.reduce_sum(self.dense.bias)
        return projected + 0.0 * tf.cast(bias, projected.dtype)

    def make_dense(self):
        self.extra = keras.layers.Dense(4, name="extra")
        return super().make_dense()

    def finish(self, x, training):
        return x + 0.0 * tf.cast(self.extra(x), x.dtype)


class LocalNorm(Encoder):
    cross_replica = False


class DoubleFeatures(Encoder):
    def finish(self, x, training):
        return tf.cast(tf.cast(x, tf.float64) * 2, tf.float32)
