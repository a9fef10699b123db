"""Runners, each with one bug."""

from __future__ import annotations

import tensorflow as tf

from sslkit.api import Runner


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
