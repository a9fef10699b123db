"""Objectives, each with one bug that a law is there to find."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf

from sslkit import replica
from sslkit.api import Backbone, Objective, Outcome


class MeanColour(Backbone):
    """A dense layer on the mean colour."""

    feature_dim = 4

    def __init__(self, *, name="colour"):
        super().__init__(name=name)
        self.dense = keras.layers.Dense(4, name="dense")

    def call(self, images, *, training):
        return tf.cast(self.dense(tf.reduce_mean(images, [1, 2])), self.variable_dtype)


class Healthy(Objective):
    """Pulls two views together and all images apart (Wang and Isola 2020, eq. 1, 2).

    Args:
        backbone: makes the encoder.
        name: the layer's name.
    """

    def __init__(self, backbone, *, name="healthy"):
        super().__init__(name=name)
        self.encoder = backbone(name=self.encoder_name)
        self.prepare(backbone)

    requires = {"instance": 2}  # noqa: RUF012
    encoder_name = "encoder"

    def prepare(self, backbone):
        """Makes further layers."""

    def call(self, batch, *, step):
        views = tf.unstack(batch.views["instance"])
        first, second = (self.encoder(view, training=True) for view in views)
        return Outcome(self.loss(first, second), {})

    def loss(self, first, second):
        return self.pull(first, second) + self.spread(first)

    def pull(self, first, second):
        return tf.reduce_mean(tf.square(first - second))

    def spread(self, first, others=None):
        others = replica.gather(first) if others is None else others
        distance = tf.reduce_sum(tf.square(first[:, None] - others[None]), axis=2)
        return tf.reduce_mean(tf.exp(-distance))


class VariableInConstructor(Healthy):
    def prepare(self, backbone):
        self.bank = self.add_weight(name="bank", shape=(3,), trainable=False)


class GlobalRandomState(Healthy):
    def build(self, *shapes, **named):
        super().build(*shapes, **named)
        np.random.normal()


def symbolic():
    """Whether the core calls the objective for shapes alone."""
    return "scratch" in getattr(tf.compat.v1.get_default_graph(), "name", "")


class MovesWhenBuilt(Healthy):
    def call(self, batch, *, step):
        outcome = super().call(batch, step=step)
        kernel = self.encoder.dense.kernel._value
        if kernel is not None and symbolic():
            with tf.init_scope():
                kernel.assign(kernel + 1.0)
        return outcome


class RawVariable(Healthy):
    def call(self, batch, *, step):
        if not hasattr(self, "raw"):
            with tf.init_scope():
                self.raw = tf.Variable(0.0, name="raw", trainable=False)
        return super().call(batch, step=step)


class MadeAfterBuild(Healthy):
    def after_build(self):
        self.late = tf.Variable(0.0, name="late", trainable=False)


class OtherEncoderName(Healthy):
    encoder_name = "trunk"


class NamelessLayer(Healthy):
    def prepare(self, backbone):
        self.head = keras.layers.Dense(4)

    def loss(self, first, second):
        return super().loss(self.head(first), self.head(second))


class UnseededWeights(Healthy):
    def prepare(self, backbone):
        values = np.random.default_rng().normal(size=4)
        self.head = keras.layers.Dense(
            4, bias_initializer=keras.initializers.Constant(values), name="head"
        )

    def loss(self, first, second):
        return super().loss(self.head(first), self.head(second))


class VectorLoss(Healthy):
    def pull(self, first, second):
        return tf.reduce_mean(tf.square(first - second), axis=1)


class InfiniteWhenBlank(Healthy):
    def spread(self, first, others=None):
        every = replica.gather(first)
        return -tf.reduce_sum(tf.math.log(tf.math.reduce_variance(every, axis=0)))


class NoGradientWhenBlank(Healthy):
    def spread(self, first, others=None):
        every = replica.gather(first)
        return -tf.reduce_sum(tf.sqrt(tf.math.reduce_variance(every, axis=0)))


class UnusedLayer(Healthy):
    def prepare(self, backbone):
        self.head = keras.layers.Dense(4, name="head")

    def loss(self, first, second):
        return super().loss(first, second) + 0.0 * tf.reduce_sum(self.head(first))


class TrainedTwin(Healthy):
    def prepare(self, backbone):
        self.twin = backbone(name="twin")

    def call(self, batch, *, step):
        views = tf.unstack(batch.views["instance"])
        first = self.encoder(views[0], training=True)
        second = self.twin(views[1], training=True)
        return Outcome(self.loss(first, second), {})

    def after_update(self, *, step):
        pairs = zip(self.twin.variables, self.encoder.variables, strict=True)
        for shadow, weight in pairs:
            shadow.assign(0.9 * shadow + 0.1 * weight)


class KeepsItsLength(Healthy):
    """Its encoder's kernel is brought back to length 1 after updates; healthy.

    Args:
        backbone: makes the encoder.
        name: the layer's name.
    """

    def after_update(self, *, step):
        kernel = self.encoder.dense.kernel
        unit = tf.math.l2_normalize(tf.convert_to_tensor(kernel), axis=0)
        replica.assign([kernel], [unit])


class LeakyTwin(TrainedTwin):
    def prepare(self, backbone):
        super().prepare(backbone)
        self.twin.trainable = False


class WrongCustomGradient(Healthy):
    def pull(self, first, second):
        @tf.custom_gradient
        def square(x):
            return tf.square(x), lambda upstream: upstream * x

        return tf.reduce_mean(square(first - second))


class LocalNegatives(Healthy):
    def spread(self, first, others=None):
        return super().spread(first, first)


class DriftingState(Healthy):
    def build(self, *shapes, **named):
        self.centre = self.add_weight(name="centre", shape=(4,), trainable=False)

    def loss(self, first, second):
        place = tf.cast(replica.index(), first.dtype)
        replica.assign([self.centre], [tf.fill([4], place)])
        return super().loss(first, second)


class NotForXLA(Healthy):
    def pull(self, first, second):
        loss = super().pull(first, second)
        same = tf.numpy_function(lambda x: x, [tf.stop_gradient(loss)], loss.dtype)
        return loss + 0.0 * tf.ensure_shape(same, [])


class LateVariable(Healthy):
    def loss(self, first, second):
        shapes = symbolic() or isinstance(first, keras.KerasTensor)
        if not hasattr(self, "mean") and not shapes:
            self.mean = tf.Variable(tf.zeros([4], first.dtype), trainable=False)
        return super().loss(first, second)


class StatefulNoise(Healthy):
    def pull(self, first, second):
        noise = tf.random.normal(second.shape, dtype=second.dtype)
        return super().pull(first, second + noise)


class WrongPairs(Healthy):
    def pull(self, first, second):
        every, others = replica.gather(first), replica.gather(second)
        return super().pull(every, tf.reverse(others, axis=[0]))


class HalfLoss(Healthy):
    def loss(self, first, second):
        return tf.cast(super().loss(first, second), self.compute_dtype)


class CastsToFloat32(Healthy):
    def pull(self, first, second):
        return super().pull(tf.cast(first, tf.float32), second)


class Imprecise(Healthy):
    """Its loss is a small difference of large numbers."""

    def loss(self, first, second):
        large = tf.cast(1000.0 + super().loss(first, second), self.compute_dtype)
        return tf.cast(large - 1000.0, first.dtype)


class HalfMemory(Healthy):
    memory = "bfloat16"

    def build(self, *shapes, **named):
        self.add_weight(name="memory", shape=(4,), dtype=self.memory, trainable=False)


class DoubleMemory(HalfMemory):
    memory = "float64"


class HalfRoot(Healthy):
    """Takes the root of a difference that is 0 in bfloat16."""

    def loss(self, first, second):
        near = tf.cast(1 + 1e-4 * (1 + tf.square(first)), self.compute_dtype) - 1
        root = tf.cast(tf.reduce_mean(tf.sqrt(near)), first.dtype)
        return super().loss(first, second) + root


class HalfWave(Healthy):
    """Takes the sine of numbers whose spacing in bfloat16 is a part of its period."""

    def loss(self, first, second):
        wave = tf.sin(tf.cast(150 * first, self.compute_dtype))
        return super().loss(first, second) + 0.05 * tf.reduce_mean(
            tf.cast(wave, first.dtype)
        )


class RequiresNothing(Healthy):
    requires = {}  # noqa: RUF012


class RequiresMoreLater(Healthy):
    """Wants one view more from the third time on that it is asked."""

    asked = 0

    @property
    def requires(self):
        RequiresMoreLater.asked += 1
        return {"instance": 2 if RequiresMoreLater.asked < 3 else 3}

    def call(self, batch, *, step):
        return super().call(
            batch._replace(stacks={(("instance", 2),): batch.views["instance"][:2]}),
            step=step,
        )


class Catchall(Healthy):
    def __init__(self, backbone, *, name="catchall", **options):
        super().__init__(backbone, name=name)


class Undocumented(Healthy):
    """Wang and Isola 2020.

    Args:
        backbone: makes the encoder.
    """


class Sourceless(Healthy):
    """Pulls two views together.

    Args:
        backbone: makes the encoder.
        name: the layer's name.
    """


class LooksUpOtherViews(Healthy):
    def call(self, batch, *, step):
        return Outcome(tf.reduce_mean(batch.views["support"]), {})


class DoubleInTheStep(Healthy):
    def build(self, *shapes, **named):
        super().build(*shapes, **named)
        self.kept = self.add_weight(
            name="kept",
            initializer="zeros",
            trainable=False,
            aggregation="only_first_replica",
        )

    def after_update(self, *, step):
        kept = tf.cast(1 - 0.5 / tf.cast(step + 1, tf.float64), tf.float32)
        replica.assign([self.kept], [tf.cast(kept, self.kept.dtype)])


class SaysItIsAMean(Healthy):
    mean_over_examples = True

    def spread(self, first, others=None):
        others = replica.gather(first)
        distance = tf.reduce_sum(tf.square(first[:, None] - others[None]), axis=2)
        # The sum over the others, of which a part of the batch has fewer.
        return tf.reduce_mean(tf.math.log(tf.reduce_sum(tf.exp(-distance), axis=1)))


class WaitsForItsCentre(Healthy):
    """Its encoder learns once a running centre, state of its own, is written; healthy.

    The loss looks at what the centre says, which is nothing at first.

    Args:
        backbone: makes the encoder.
        name: the layer's name.
    """

    def build(self, *shapes, **named):
        super().build(*shapes, **named)
        self.centre = self.add_weight(
            name="centre",
            shape=(4,),
            initializer="zeros",
            trainable=False,
            aggregation="only_first_replica",
        )

    def loss(self, first, second):
        centre = tf.convert_to_tensor(self.centre)
        mean = replica.mean(tf.reduce_mean(tf.stop_gradient(second), axis=0))
        replica.assign([self.centre], [0.9 * centre + 0.1 * mean])
        return tf.reduce_mean(tf.reduce_sum(tf.square(first) * centre**2, axis=1))
