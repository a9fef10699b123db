"""A data set whose classes are colours, and an encoder that sees colour."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from sslkit.api import Backbone, Objective
from sslkit.errors import UserError
from sslkit.evaluate.protocol import evaluate
from sslkit.source import Source


class ColourSource(Source):
    """Noisy images in memory; class c is brightest in channel c."""

    name = "colours"
    label_names = ()

    def __init__(self, size: int, *, seed: int, labelled: bool = True) -> None:
        random = np.random.default_rng(seed)
        self.size = size
        self.classes = 3 if labelled else None
        label = random.integers(0, 3, size)
        image = random.integers(0, 120, [size, 8, 8, 3])
        image[np.arange(size), :, :, label] += 100
        self.images = image.astype(np.uint8)
        self.numbers = (
            label.astype(np.int32) if labelled else np.full(size, -1, "int32")
        )

    def example(self, index: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return tf.constant(self.images)[index], tf.constant(self.numbers)[index]


class InMemory:
    """Splits by name, as `Data` has them."""

    test = "test"

    def __init__(self, **splits) -> None:
        self.splits = splits

    def source(self, part: str) -> ColourSource:
        return self.split(part)

    def split(self, split: str) -> ColourSource:
        if split not in self.splits:
            raise UserError(f"there is no {split} split")
        return self.splits[split]


class MeanColour(Backbone):
    """Dense on the mean colour."""

    feature_dim = 6

    def __init__(self, *, name: str = "encoder") -> None:
        super().__init__(name=name)
        self.parts = [keras.layers.Dense(6, name="dense")]

    def call(self, images, *, training):
        return self.parts[0](tf.reduce_mean(images, axis=[1, 2]))


class Judged(Objective):
    """An objective for evaluation: an encoder and perhaps a classifier."""

    def __init__(self, encoder: Backbone, classes: int | None = None) -> None:
        super().__init__(name="judged")
        self.encoder = encoder
        self.classes = classes

    @property
    def requires(self):
        return {}

    def call(self, batch, *, step):
        raise AssertionError("never called: nothing is trained")

    def logits(self, images):
        # The brightest channel is the class; further classes are never predicted.
        colour = tf.reduce_mean(images, axis=[1, 2])
        return tf.pad(colour, [[0, 0], [0, self.classes - 3]])


def built(seed: int) -> MeanColour:
    keras.utils.set_random_seed(seed)
    encoder = MeanColour()
    encoder(keras.KerasTensor([None, 8, 8, 3]), training=False)
    return encoder


@pytest.fixture
def encoder() -> MeanColour:
    """A built encoder; random, but colour survives a random projection."""
    return built(1)


@pytest.fixture
def untrained():
    """Builds another encoder."""
    return lambda: built(2)


@pytest.fixture
def judged():
    """The objective's class."""
    return Judged


def labelled() -> InMemory:
    return InMemory(train=ColourSource(90, seed=1), test=ColourSource(40, seed=2))


@pytest.fixture
def colours() -> InMemory:
    """Labelled splits of 90 and 40 images."""
    return labelled()


@pytest.fixture(scope="session")
def results():
    """The results on the encoder, an untrained one, and pixels."""
    judged = Judged(built(1), classes=3)
    return evaluate(
        judged, labelled(), size=8, seed=0, untrained=lambda: built(2)
    ).measure()


@pytest.fixture
def unlabelled() -> InMemory:
    """One split without labels."""
    return InMemory(train=ColourSource(90, seed=1, labelled=False))
