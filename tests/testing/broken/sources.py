"""Sources, each with one bug."""

from __future__ import annotations

import itertools

import numpy as np
import tensorflow as tf

from sslkit.api import Source, UserError


class Plain(Source):
    """Six images, each of its own colour, in two classes; healthy.

    Args:
        split: `train`.
    """

    def __init__(self, *, split):
        if split != "train":
            raise UserError(f"no split '{split}'; there is train")
        self.name = f"plain/{split}"
        self.size = 6
        self.classes = 2
        self.label_names = ("even", "odd")

    def example(self, index):
        return self.image(index), tf.cast(index % 2, tf.int32)

    def image(self, index):
        return tf.fill([2, 2, 3], tf.cast(index, tf.uint8))

    def labels(self):
        return np.arange(6, dtype=np.int32) % 2


class FloatImages(Plain):
    def image(self, index):
        return tf.fill([2, 2, 3], tf.cast(index, tf.float32) / 6)


class NoExamples(Plain):
    def __init__(self, *, split):
        super().__init__(split=split)
        self.size = 0


class NumpyImages(Plain):
    def image(self, index):
        return tf.constant(np.full([2, 2, 3], int(index), np.uint8))


class DrawnImages(Plain):
    def image(self, index):
        return tf.cast(tf.random.uniform([2, 2, 3], maxval=255), tf.uint8)


class OtherLabels(Plain):
    def labels(self):
        return 1 - super().labels()


class TooManyLabels(Plain):
    def __init__(self, *, split):
        super().__init__(split=split)
        self.classes = 1
        self.label_names = ()


class NamelessClass(Plain):
    def __init__(self, *, split):
        super().__init__(split=split)
        self.label_names = ("even",)


class AnySplit(Plain):
    def __init__(self, *, split):
        super().__init__(split="train")


class RawError(Plain):
    def __init__(self, *, split):
        {"train": 1}[split]
        super().__init__(split=split)


class OneName(Plain):
    def describe(self, index):
        return "an example"


class Counted(Plain):
    made = itertools.count()

    def record(self):
        return {**super().record(), "opened": next(self.made)}
