"""The momentum twin."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from sslkit.nn import MomentumTwin, ProjectionHead, ResNet, cosine_fall

# One float32 multiplication and addition of numbers near 1.
CLOSE = {"rtol": 1e-6, "atol": 1e-7}


class Objective(keras.layers.Layer):
    """Two online layers and their twin, as in an objective."""

    def __init__(self, *, dim=4, twin_dim=4):
        super().__init__(name="objective")
        self.first = ProjectionHead(layers=2, dim=6, name="first")
        self.second = ProjectionHead(layers=1, dim=dim, name="second")
        self.twin = MomentumTwin(
            [
                ProjectionHead(layers=2, dim=6, name="first"),
                ProjectionHead(layers=1, dim=twin_dim, name="second"),
            ],
            name="momentum",
        )

    @property
    def online(self):
        return [self.first, self.second]

    def call(self, x):
        online = self.second(self.first(x, training=True), training=True)
        return online, self.twin(x, training=True)


def values(layer):
    return {v.path.split("/", 1)[1]: v.numpy() for v in layer.variables}


@pytest.fixture
def x():
    return tf.constant(np.random.default_rng(0).normal(size=(8, 5)), tf.float32)


@pytest.fixture
def objective():
    keras.utils.set_random_seed(3)
    built = Objective()
    built(keras.KerasTensor((8, 5)))
    return built


def expected(before, decay):
    """Pairs every twin variable with its expected value."""
    for path, value in before.items():
        if path.startswith("momentum/"):
            if "moving" not in path:
                online = before[path.removeprefix("momentum/")]
                value = decay * value + (1 - decay) * online
            yield path, value


def test_follows_weights_and_not_statistics(objective, x):
    objective(x)
    for variable in objective.first.variables:
        variable.assign(variable + 1.0)
    before = values(objective)
    objective.twin.follow(objective.online, decay=0.75)
    after = values(objective)
    moved = list(expected(before, 0.75))
    assert len(moved) == len(objective.twin.variables)
    for path, want in moved:
        np.testing.assert_allclose(after[path], want, err_msg=path, **CLOSE)
    for path in before:
        if not path.startswith("momentum/"):
            np.testing.assert_array_equal(after[path], before[path])


def test_a_schedule_scales_what_is_not_kept(objective):
    before = values(objective)
    objective.twin.follow(objective.online, decay=0.2, scale=tf.constant(0.25))
    for path, want in expected(before, 0.8):
        np.testing.assert_allclose(values(objective)[path], want, **CLOSE)


def test_the_cosine_keeps_its_digits_in_float32():
    """1 - d(t) is smallest at the end, where a difference would lose all its digits."""
    steps = 31_279
    for step in (0, 1, 100, steps // 2, steps - 100, steps - 1, steps):
        found = cosine_fall(step=tf.constant(step, tf.int64), steps=steps)
        assert found.dtype == tf.float32
        # Of the second form, because float64 loses half its digits in the first.
        wanted = np.sin(np.pi / 2 * (steps - step) / steps) ** 2
        # A sine, its square and its argument round once each.
        np.testing.assert_allclose(found, wanted, rtol=4e-7)
        published = (np.cos(np.pi * step / steps) + 1) / 2
        np.testing.assert_allclose(wanted, published, atol=1e-15)


def test_slow_decay_does_not_drift(objective):
    """Equal weights stay equal, however often they follow."""
    objective.twin.copy(objective.online)
    before = values(objective)
    for _ in range(50):
        objective.twin.follow(objective.online, decay=0.999)
    for path, value in values(objective).items():
        np.testing.assert_array_equal(value, before[path])


def test_is_not_trained(objective, x):
    assert objective.twin.trainable_variables == []
    assert not any("momentum" in v.path for v in objective.trainable_variables)
    weights = [v.value for v in objective.twin.variables]
    with tf.GradientTape() as tape:
        tape.watch([x, *weights])
        _, out = objective(x)
        loss = tf.reduce_sum(out**2)
    assert tape.gradient(loss, [x, *weights]) == [None] * (1 + len(weights))


def test_layers_made_late_are_not_trained_either():
    twin = MomentumTwin([ResNet(depth=18, name="encoder")], name="momentum")
    twin(keras.KerasTensor((2, 8, 8, 3)), training=True)
    assert not any(v.trainable for v in twin.variables)


def test_normalises_by_its_batch_and_tracks_it(objective, x):
    _, out = objective(x)
    # The last layer has no offset, so a batch's columns have mean 0: 8 float32 terms.
    np.testing.assert_allclose(tf.reduce_mean(out, 0), np.zeros(4), atol=1e-6)
    statistics = values(objective)["momentum/first/layer_0/norm/moving_mean"]
    assert np.any(statistics != 0)


def test_copies_everything(objective, x):
    objective(x)
    objective.twin.copy(objective.online)
    now = values(objective)
    for path, value in now.items():
        if path.startswith("momentum/"):
            np.testing.assert_array_equal(value, now[path.removeprefix("momentum/")])


def test_refuses_layers_that_are_not_twins(objective):
    with pytest.raises(ValueError, match="has 2 layers and was given 1"):
        objective.twin.follow([objective.first], decay=0.9)
    other = Objective(twin_dim=3)
    other(keras.KerasTensor((8, 5)))
    with pytest.raises(ValueError, match=r"differ in .*layer_0/dense/kernel"):
        other.twin.follow(other.online, decay=0.9)


def test_moves_on_every_replica(two_replicas, x):
    keras.utils.set_random_seed(3)
    with two_replicas.scope():
        objective = Objective()
        objective(keras.KerasTensor((8, 5)))
        objective.twin.copy(objective.online)
        for variable in objective.first.variables:
            variable.assign(variable + 1.0)
    before = values(objective)

    @tf.function
    def steps():
        for _ in tf.range(2):
            two_replicas.run(
                lambda: objective.twin.follow(objective.online, decay=0.75)
            )

    steps()
    after = {v.path.split("/", 1)[1]: v for v in objective.variables}
    for path, want in expected(before, 0.75**2):
        replicas = two_replicas.experimental_local_results(after[path].value)
        assert len(replicas) == 2
        for value in replicas:
            np.testing.assert_allclose(value, want, err_msg=path, **CLOSE)
