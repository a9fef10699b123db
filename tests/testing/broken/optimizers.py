"""Optimizers, each with one bug."""

from __future__ import annotations

import tensorflow as tf

from sslkit.api import Optimizer


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
        return rate * (1 + float(step.numpy() > 0))


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
