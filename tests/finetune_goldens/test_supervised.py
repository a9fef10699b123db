"""What the supervised objective trains, freezes and refuses."""

from __future__ import annotations

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

from sslkit.api import Backbone, Batch, UserError, Views
from sslkit.nn import ResNet
from sslkit.objectives.supervised import Supervised

SIZE = 8


class Flat(Backbone):
    """A backbone without blocks."""

    feature_dim = 3

    def __init__(self, *, name):
        super().__init__(name=name)
        self.dense = keras.layers.Dense(3, name="dense")

    def call(self, images, *, training):
        return self.dense(tf.reduce_mean(images, [1, 2]))


def build(**options):
    objective = Supervised(functools.partial(ResNet, depth=18), classes=5, **options)
    objective(batch(), step=tf.constant(0, tf.int64))
    return objective


def batch():
    images = np.random.default_rng(0).uniform(size=(1, 4, SIZE, SIZE, 3))
    return Batch(
        stacks=Views.of({"instance": tf.constant(images, tf.float32)}).stacks,
        label=tf.constant([0, 1, 2, 3]),
    )


def trained(objective):
    prefix = f"{objective.name}/"
    return {
        "/".join(v.path.removeprefix(prefix).split("/")[:2])
        for v in objective.trainable_variables
    }


GROUPS = ["encoder/stem", *(f"encoder/group_{number}" for number in (1, 2, 3, 4))]
HEAD = {"classifier/kernel", "classifier/bias"}


@pytest.mark.parametrize("block", [-1, 0, 3, 4])
def test_trains_what_comes_after_the_block(block):
    objective = build(fine_tune_after_block=block)
    assert trained(objective) == {*GROUPS[block + 1 :], *HEAD}


@pytest.mark.parametrize("block", [2, 4])
def test_frozen_blocks_normalise_by_their_batch_unless_all_are_frozen(block):
    objective = build(fine_tune_after_block=block)
    first = objective.encoder.stem.norm.moving_mean
    before = first.numpy()
    objective(batch(), step=tf.constant(1, tf.int64))
    assert np.array_equal(first.numpy(), before) == (block == 4)


def test_projection_layers_in_use_are_frozen_unless_asked_for():
    frozen = build(projection_layer=1)
    assert trained(frozen) == {*GROUPS, *HEAD}
    learned = build(projection_layer=2, train_projection=True)
    layers = {"projection/layer_0", "projection/layer_1"}
    assert trained(learned) == {*GROUPS, *HEAD, *layers}


@pytest.mark.parametrize(("layer", "width"), [(0, 512), (1, 512), (-1, 16)])
def test_the_classifier_sees_the_projection_layer(layer, width):
    objective = build(projection_layer=layer, projection_dim=16, zero_init=True)
    assert objective.classifier.kernel.shape == (width, 5)
    assert not np.any(objective.classifier.kernel)
    images = batch().views["instance"][0]
    objective.classifier.kernel.assign(tf.ones((width, 5)))
    features = objective.encoder(images, training=False)
    if layer:
        features = objective.projection.outputs(features, training=False)[layer]
    want = tf.reduce_sum(features, axis=1)[:, tf.newaxis] * tf.ones([1, 5])
    np.testing.assert_allclose(objective.logits(images), want, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"classes": 0}, "classes is 0"),
        ({"fine_tune_after_block": 5}, r"after_block is 5; it must be .* in \[-1, 4\]"),
        ({"projection_layer": 4}, "projection_layer is 4; the head has 3 layers"),
        ({"train_projection": True}, "no projection layer is in use"),
        ({"fine_tune_after_block": 2}, "Flat has no blocks to freeze. Choose -1"),
    ],
)
def test_refuses(options, said):
    with pytest.raises(UserError, match=said):
        Supervised(Flat, **{"classes": 5, **options})


def test_a_resnet_has_five_blocks():
    with pytest.raises(UserError, match="no block 5 to freeze up to"):
        ResNet(depth=18).freeze(through=5)


def test_freezing_a_built_network_is_the_same():
    built = ResNet(depth=18)
    built.build((None, SIZE, SIZE, 3))
    built.freeze(through=1)
    assert not built.stem.trainable_variables
    assert not built.groups[0].trainable_variables
    assert built.groups[1].trainable_variables
