"""Augmentations, backbones, optimizers, schedules and runners, each with one bug."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf

from sslkit import randomness
from sslkit.api import Augmentation, Backbone, Optimizer, Runner, Schedule, ViewGroup
from sslkit.nn import BatchNorm
from sslkit.views import uniform, view_seed


class Views(Augmentation):
    """A cut-out of the image, a little brighter; healthy.

    Args:
        size: side in pixels.
    """

    def __init__(self, *, size=6):
        self.size = size

    @property
    def groups(self):
        return {"instance": ViewGroup(2, self.size)}

    def example(self, image, seed):
        views = [self.view(image, view_seed(seed, number)) for number in range(2)]
        return {"instance": tf.stack(views)}

    def view(self, image, seed):
        light = 40 * self.draw(seed)
        corner = tf.cast(image[: self.size, : self.size], tf.float32)
        view = tf.cast(tf.minimum(corner + light, 255.0), tf.uint8)
        return tf.ensure_shape(view, [self.size, self.size, 3])

    def draw(self, seed):
        return uniform(seed[tf.newaxis], 1)[0, 0]

    def batch(self, views, *, step_seed, example_seeds):
        images = super().batch(views, step_seed=step_seed, example_seeds=example_seeds)[
            "instance"
        ]
        light = self.light(images, step_seed, example_seeds)
        return {"instance": self.clip(images + 0.2 * light[:, None, None, None])}

    def light(self, images, step_seed, example_seeds):
        return uniform(example_seeds, 1)[:, 0]

    def clip(self, images):
        return tf.clip_by_value(images, 0.0, 1.0)


class GlobalDraw(Views):
    def draw(self, seed):
        return tf.random.uniform([])


class SeedIgnored(Views):
    def draw(self, seed):
        return 0.5


class WrongSize(Views):
    def view(self, image, seed):
        return super().view(image, seed)[:-1]


class FloatViews(Views):
    def view(self, image, seed):
        return tf.cast(super().view(image, seed), tf.float32)


class NumpyViews(Views):
    def view(self, image, seed):
        return tf.constant(np.minimum(image.numpy()[:6, :6] + 3, 255))


class DrawnWhileTracing(Views):
    def draw(self, seed):
        return uniform(seed[tf.newaxis], 1)[0, 0] if tf.executing_eagerly() else 0.0


class UnknownShape(Views):
    def view(self, image, seed):
        # As many rows as there are, which only the pipeline knows.
        return super().view(image, seed)[: tf.shape(image)[0]]


class DarkOnGPUs(Views):
    dark = False

    def on(self, device):
        other = DarkOnGPUs(size=self.size)
        other.dark = device == "GPU"
        return other

    def clip(self, images):
        return super().clip(images) * (0.5 if self.dark else 1.0)


class SmallOnTPUs(Views):
    def on(self, device):
        return SmallOnTPUs(size=3) if device == "TPU" else self


class TooBright(Views):
    def clip(self, images):
        return images


class TwiceDivided(Views):
    def clip(self, images):
        return tf.clip_by_value(images / 255, 0.0, 1.0)


class DrawnByPlace(Views):
    def light(self, images, step_seed, example_seeds):
        return tf.random.stateless_uniform([images.shape[1]], step_seed)


class DoubleLight(Views):
    def light(self, images, step_seed, example_seeds):
        light = tf.cast(super().light(images, step_seed, example_seeds), tf.float64)
        return tf.cast(light / 3, tf.float32)


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
        return x - tf.reduce_mean(x, axis=0)


class TracksAlways(Encoder):
    def finish(self, x, training):
        self.norm.moving_mean.assign(self.norm.moving_mean + 1.0)
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
        return super().project(flat) + 0.0 * tf.reduce_sum(self.dense.bias)

    def make_dense(self):
        self.extra = keras.layers.Dense(4, name="extra")
        return super().make_dense()

    def finish(self, x, training):
        return x + 0.0 * self.extra(x)


class LocalNorm(Encoder):
    cross_replica = False


class DoubleFeatures(Encoder):
    def finish(self, x, training):
        return tf.cast(tf.cast(x, tf.float64) * 2, tf.float32)


class Descent(Optimizer):
    """Gradient descent that remembers gradients; healthy."""

    slots = ("sum",)

    def update(self, weight, gradient, slots, *, path, rate, step):
        total = slots["sum"] + gradient
        return weight - self.length(rate, step) * total, {self.slot(): total}

    def length(self, rate, step):
        return rate

    def slot(self):
        return "sum"


class CountsInPython(Descent):
    calls = 0

    def length(self, rate, step):
        self.calls += 1
        return rate / self.calls


class CountsInstances(Descent):
    made = 0

    def __init__(self):
        CountsInstances.made += 1
        self.number = CountsInstances.made

    def length(self, rate, step):
        return rate / self.number


class OtherSlot(Descent):
    def slot(self):
        return "total"


class Float32Only(Descent):
    def length(self, rate, step):
        return tf.cast(rate, tf.float32) * tf.constant(1.0)


class PythonBranch(Descent):
    def length(self, rate, step):
        return rate if tf.executing_eagerly() else 0.5 * rate


class NumpyStep(Descent):
    def length(self, rate, step):
        return rate * float(step.numpy() > 0)


class Ascent(Descent):
    def length(self, rate, step):
        return -rate


class RateIgnored(Descent):
    def length(self, rate, step):
        return 0.1


class DoubleLength(Descent):
    def length(self, rate, step):
        return tf.cast(tf.cast(rate, tf.float64) * 2, rate.dtype)


class ByNorm(Descent):
    """Descent by a share of the common norm; healthy."""

    def update_all(self, weights, *, step, steps):
        scale = self.scale(list(weights.values()), tf.cast(step, tf.float32), steps)
        shorter = {
            path: weight._replace(rate=weight.rate * tf.cast(scale, weight.rate.dtype))
            for path, weight in weights.items()
        }
        return super().update_all(shorter, step=step, steps=steps)

    def scale(self, weights, step, steps):
        return 1 / (1 + tf.linalg.global_norm([weight.gradient for weight in weights]))


class LosesAWeight(ByNorm):
    def update_all(self, weights, *, step, steps):
        moved = super().update_all(weights, step=step, steps=steps)
        return {path: new for path, new in moved.items() if path != "head/bias"}


class NormOfTheFirst(ByNorm):
    def scale(self, weights, step, steps):
        return super().scale(weights[:1], step, steps)


class DividesByWhatIsLeft(ByNorm):
    def scale(self, weights, step, steps):
        left = steps - step
        return super().scale(weights, step, steps) * tf.cast(
            left / left, weights[0].rate.dtype
        )


class Rate(Schedule):
    """Falls in a line; healthy."""

    def rate(self, step, *, steps, batch_size, examples):
        return tf.maximum(1.0 - tf.cast(step, tf.float32) / steps, 0.0)


class NanAtTheEnd(Rate):
    def rate(self, step, *, steps, batch_size, examples):
        left = tf.cast(steps - step, tf.float32)
        return left / left


class NegativeLater(Rate):
    def rate(self, step, *, steps, batch_size, examples):
        return 1.0 - tf.cast(step, tf.float32) / steps


class DoubleRate(Rate):
    def rate(self, step, *, steps, batch_size, examples):
        return 1.0 - step / steps


class DoubleShare(Rate):
    def rate(self, step, **run):
        share = tf.cast(step, tf.float64) / run["steps"]
        return tf.cast(1 - share, tf.float32)


class FrozenRate(Rate):
    def rate(self, step, **run):
        return super().rate(step if tf.executing_eagerly() else step * 0, **run)


class OneDevice(Runner):
    """One device; healthy."""

    _strategy = None

    @property
    def strategy(self):
        if self._strategy is None:
            self._strategy = tf.distribute.OneDeviceStrategy("CPU:0")
        return self._strategy


class NewStrategyEachTime(OneDevice):
    @property
    def strategy(self):
        return tf.distribute.OneDeviceStrategy("CPU:0")


class UnsureChief(OneDevice):
    is_chief = None


class LosesABatch(OneDevice):
    def iterate(self, make):
        return super().iterate(lambda context: make(context).skip(1).repeat())


class StepsTwice(OneDevice):
    def compile(self, step, metrics):
        def twice(batch):
            step(batch)
            return step(batch)

        return super().compile(twice, metrics)


class StepsOnceMore(OneDevice):
    """Its losses are right, and its weights are not."""

    def compile(self, step, metrics):
        made = tf.Variable(0)

        def more(batch):
            out = step(batch)
            last = tf.equal(made.assign_add(1), 5)
            tf.cond(last, lambda: step(batch)["loss"], lambda: out["loss"])
            return out

        return super().compile(more, metrics)
