"""An exported ResNet: its endpoints, and training it further without sslkit."""

from __future__ import annotations

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

from sslkit.export.saved_model import export
from sslkit.nn import ResNet
from sslkit.objectives.supervised import Supervised

# By default tests/export/test_loading.py compares an export's endpoints with a run's,
# and tests/export/test_images.py trains a model around it.
pytestmark = pytest.mark.slow

SIZE = 8


@pytest.fixture(scope="module")
def objective():
    keras.utils.set_random_seed(2)
    objective = Supervised(functools.partial(ResNet, depth=18), classes=3)
    images = keras.KerasTensor((None, SIZE, SIZE, 3))
    objective.classifier(objective.encoder(images, training=False))
    for variable in objective.encoder.variables:
        if variable.name == "gamma":
            variable.assign(tf.ones_like(variable))
    return objective


@pytest.fixture(scope="module")
def folder(objective, tmp_path_factory):
    folder = tmp_path_factory.mktemp("export") / "encoder"
    export(objective, folder, size=SIZE)
    return str(folder)


@pytest.fixture
def images():
    return tf.constant(np.random.default_rng(0).random([6, SIZE, SIZE, 3], np.float32))


def close(found, want):
    np.testing.assert_allclose(found, want, rtol=1e-4, atol=1e-5)


def test_every_endpoint_is_a_signature(objective, folder, images):
    loaded = tf.saved_model.load(folder)
    want = objective.encoder.endpoints(images, training=False)
    assert set(loaded.signatures) == {"serving_default", *want}
    for name, value in want.items():
        found = loaded.signatures[name](images=images)
        assert list(found) == [name]
        close(found[name], value)
    close(loaded.endpoints(images)["block_group2"], want["block_group2"])


def test_training_mode_normalises_by_the_batch(objective, folder, images):
    loaded = tf.saved_model.load(folder)
    moving = {v.name: v for v in loaded.variables}["encoder/stem/norm/moving_mean:0"]
    before = moving.numpy()
    found = loaded(images, training=True)["features"]
    assert not np.array_equal(moving.numpy(), before)
    state = [variable.numpy() for variable in objective.encoder.variables]
    close(found, objective.encoder(images, training=True))
    close(moving, objective.encoder.stem.norm.moving_mean)
    for variable, value in zip(objective.encoder.variables, state, strict=True):
        variable.assign(value)


def test_a_reloaded_one_is_fine_tuned(folder, images):
    loaded = tf.saved_model.load(folder)
    labels = tf.constant([0, 1, 2, 0, 1, 2])
    head = tf.Variable(tf.zeros([512, 3]))
    weights = [v for v in loaded.trainable_variables if "encoder" in v.name]

    def step():
        with tf.GradientTape() as tape:
            logits = loaded(images, training=True)["features"] @ head
            loss = tf.reduce_mean(
                tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
            )
        for weight, gradient in zip(
            [head, *weights], tape.gradient(loss, [head, *weights]), strict=True
        ):
            weight.assign_sub(0.1 * gradient)
        return float(loss)

    losses = [step() for _ in range(6)]
    # Six images of noise are learned by heart at once.
    assert losses[0] == pytest.approx(np.log(3))
    assert losses[-1] < 0.3 * losses[0]
