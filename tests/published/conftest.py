"""A small run of every part, and the recorded checkpoint of the published code."""

from __future__ import annotations

import functools

import numpy as np
import pytest
import tensorflow as tf

from sslkit.api import ViewGroup
from sslkit.nn import LinearClassifier, ProjectionHead, ResNet
from sslkit.optimize.lars import LARS
from sslkit.published.importing import Value
from sslkit.training.state import TrainState


@pytest.fixture(scope="session")
def published_checkpoint(golden):
    """The prefix of a real checkpoint: ResNet-18, cifar stem, both heads."""
    return str(golden / "resnet" / "r18_cifar" / "model.ckpt-1234")


@pytest.fixture(scope="session")
def make_state():
    """Builds the state of a run with an objective of these options."""

    def make(objective, *, views=1, size=32, encoder=None, **options):
        backbone = functools.partial(ResNet, **{"depth": 18, **(encoder or {})})
        return TrainState(
            functools.partial(objective, backbone, **options),
            LARS(),
            strategy=tf.distribute.get_strategy(),
            groups={"instance": ViewGroup(views, size)},
            batch_size=2,
            seed=3,
        )

    return make


@pytest.fixture(scope="session")
def make_table():
    """Returns a run's variables as plain values: zeros, shaped like an encoder's,
    a projection head's and a classifier's."""

    @functools.cache
    def shapes(**options):
        encoder = ResNet(**{"depth": 18, **options}, name="encoder")
        layers = encoder, ProjectionHead(), LinearClassifier(classes=10)
        with tf.Graph().as_default():
            encoder.build((None, 32, 32, 3))
            for head in layers[1:]:
                head.build((None, encoder.feature_dim))
        return {v.path: tuple(v.shape) for layer in layers for v in layer.variables}

    def make(**options):
        return {
            name: Value(np.zeros(shape, "float32"))
            for name, shape in shapes(**options).items()
        }

    return make


@pytest.fixture(scope="session")
def contents():
    """Reads a whole checkpoint, name -> array."""

    def read(prefix):
        reader = tf.train.load_checkpoint(prefix)
        return {
            name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()
        }

    return read


def equal(found, want):
    assert sorted(found) == sorted(want)
    for name, value in want.items():
        assert found[name].dtype == value.dtype, name
        np.testing.assert_array_equal(found[name], value, err_msg=name)
