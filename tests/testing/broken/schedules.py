"""Schedules, each with one bug."""

from __future__ import annotations

import tensorflow as tf

from sslkit.api import Schedule


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


class HalfRate(Rate):
    def rate(self, step, **run):
        return tf.cast(super().rate(step, **run), tf.bfloat16)


class DoubleShare(Rate):
    def rate(self, step, **run):
        share = tf.cast(step, tf.float64) / run["steps"]
        return tf.cast(tf.maximum(1 - share, 0), tf.float32)


class FrozenRate(Rate):
    def rate(self, step, **run):
        return super().rate(step if tf.executing_eagerly() else step * 0, **run)
