"""The variable table: names, owners, and what is refused."""

from __future__ import annotations

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

from sslkit.api import Backbone, Outcome, UserError, ViewGroup
from sslkit.nn import MomentumTwin
from sslkit.objectives.supervised import Supervised
from sslkit.optimize.adam import Adam
from sslkit.testing.devices import strategy


def test_names_everything_by_its_path(built):
    state = built(optimizer=Adam())
    assert sorted(state.table) == [
        "encoder/scale",
        "optimizer/mean/encoder/scale",
        "optimizer/square/encoder/scale",
        "seen",
        "seen_step",
        "step",
    ]
    assert list(state.trainable) == ["encoder/scale"]
    assert state.parameters == 3
    assert state.metrics == ("row",)
    assert int(state.step.numpy()) == 0
    assert not np.any(state.table["optimizer/mean/encoder/scale"].numpy())


def test_names_do_not_depend_on_replicas_or_on_how_often_it_is_built(built):
    names = list(built().table)
    assert list(built().table) == names
    assert list(built(place=strategy(2)).table) == names


def test_a_seed_gives_the_same_weights(built, objective):
    class Random(objective):
        def build(self, *shapes, **named):
            super().build()
            self.head = self.add_weight(
                name="head", shape=(5,), initializer="glorot_uniform"
            )

    first, second, replicated = (
        built(Random, place=place).table["head"].numpy()
        for place in (None, None, strategy(2))
    )
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(first, replicated)


def test_what_is_frozen_is_saved_and_not_trained(built, objective):
    class Frozen(objective):
        def __init__(self, backbone, *, name="frozen"):
            super().__init__(backbone, name=name)
            self.head = keras.layers.Dense(2, name="head")
            self.encoder.trainable = False

        def call(self, batch, *, step):
            features = self.encoder(batch.views["instance"][0], training=False)
            return Outcome(tf.reduce_mean(self.head(features)), {})

    state = built(Frozen)
    assert list(state.trainable) == ["head/kernel", "head/bias"]
    assert "encoder/scale" in state.table
    assert "optimizer/momentum/encoder/scale" not in state.table


class Attentive(Backbone):
    """Attention over pixels; its layers are made when it is built."""

    feature_dim = 3

    def __init__(self, *, name="encoder"):
        super().__init__(name=name)
        self.attention = keras.layers.MultiHeadAttention(2, 4, name="attention")

    def call(self, images, *, training):
        pixels = tf.reshape(images, [-1, 16, 3])
        return tf.reduce_mean(self.attention(pixels, pixels), axis=1)


def test_a_frozen_encoder_stays_frozen_when_it_makes_layers_later(built):
    """Each of its four layers has a kernel and a bias, made in `build`."""
    probe = functools.partial(Supervised, classes=5, fine_tune_after_block=4)
    state = built(lambda colour: probe(Attentive))
    assert list(state.trainable) == ["classifier/kernel", "classifier/bias"]
    assert set(state.slots) == set(state.trainable)
    assert state.parameters == 3 * 5 + 5
    # Query, key and value, then the output.
    assert state.frozen == 3 * (3 * 8 + 8) + 8 * 3 + 3
    encoder = [name for name in state.table if name.startswith("encoder/")]
    assert len(encoder) == 8


def test_nothing_else_counts_as_frozen(built, objective):
    class Followed(objective):
        """Its twin and its state are neither trained nor frozen."""

        def __init__(self, backbone, *, name="followed"):
            super().__init__(backbone, name=name)
            self.twin = MomentumTwin([backbone(name="encoder")], name="twin")

        def call(self, batch, *, step):
            self.twin(batch.views["instance"][0], training=True)
            return super().call(batch, step=step)

    state = built(Followed)
    assert "twin/encoder/scale" in state.table
    assert (state.parameters, state.frozen) == (3, 0)


def test_state_may_be_set_when_all_is_built(built, objective):
    class Copies(objective):
        def after_build(self):
            self.seen.assign(self.encoder.scale)

    assert built(Copies).table["seen"].numpy().tolist() == [1, 1, 1]


def raw_in_call(objective):
    class Raw(objective):
        def build(self, *shapes, **named):
            super().build()
            self.queue = tf.Variable(0.0, name="queue")

    return Raw, "queue"


def raw_after_build(objective):
    class Raw(objective):
        def after_build(self):
            self.late = tf.Variable(0.0, name="late")

    return Raw, "late"


def in_a_closure(objective):
    class Hidden(objective):
        def build(self, *shapes, **named):
            super().build()
            layer = keras.layers.Dense(2, name="hidden")
            layer.build((4, 3))
            self.__dict__["project"] = lambda x: layer(x)

    return Hidden, "kernel"


@pytest.mark.parametrize("make", [raw_in_call, raw_after_build, in_a_closure])
@pytest.mark.parametrize("replicas", [1, 2])
def test_names_a_variable_without_an_owner(built, objective, make, replicas):
    owner, name = make(objective)
    with pytest.raises(UserError, match=f"does not own.*{name}.*add_weight"):
        built(owner, place=strategy(replicas))


def test_refuses_two_variables_of_one_name(built, objective):
    class Twice(objective):
        def build(self, *shapes, **named):
            super().build()
            self.second = self.add_weight(name="seen", shape=(), trainable=False)

    with pytest.raises(UserError, match="two variables are called 'seen'"):
        built(Twice)


@pytest.mark.parametrize(
    ("groups", "made"),
    [
        ({"instance": ViewGroup(2, 4)}, "instance x 2"),
        ({"support": ViewGroup(1, 4)}, "support x 1"),
        ({"instance": ViewGroup(1, 4), "support": ViewGroup(3, 4)}, "support x 3"),
    ],
)
def test_says_which_views_are_wanted_and_made(built, groups, made):
    with pytest.raises(UserError, match=f"wants instance x 1; .* makes .*{made}"):
        built(groups=groups)
