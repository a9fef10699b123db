"""Augmentations, each with one bug."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from sslkit.api import Augmentation, ViewGroup
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
        light = int(seed.numpy()[0]) % 40
        return tf.constant(
            np.minimum(image.numpy()[:6, :6] // 2 + light, 255), tf.uint8
        )


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
