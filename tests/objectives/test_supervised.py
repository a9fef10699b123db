"""The supervised loss against the published implementation."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf

from sslkit.api import Backbone, Batch, Views
from sslkit.objectives.supervised import Supervised


class Pixels(Backbone):
    """Takes the first channel of a row of pixels for features."""

    feature_dim = 10

    def call(self, images, *, training):
        return images[:, 0, :, 0]


def test_published_loss(golden):
    inputs = np.load(golden / "objective/simclr_inputs.npz")
    logits, labels = inputs["sup_logits"], inputs["sup_labels"]
    objective = Supervised(Pixels, classes=10)
    pixels = np.zeros([1, len(logits), 1, 10, 3], "float32")
    pixels[0, :, 0, :, 0] = logits
    batch = Batch(
        Views.of({"instance": tf.constant(pixels)}).stacks,
        tf.constant(labels.argmax(1), tf.int32),
    )
    objective(batch, step=tf.constant(0, tf.int64))
    # Features that are the logits.
    objective.classifier.kernel.assign(keras.ops.eye(10))
    loss = objective(batch, step=tf.constant(0, tf.int64)).loss
    wanted = np.load(golden / "objective/simclr_outputs.npz")["sup/loss"]
    np.testing.assert_allclose(loss, wanted, rtol=1e-5)
