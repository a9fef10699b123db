"""Objectives with a classifier, each with one bug."""

from __future__ import annotations

import keras
import tensorflow as tf
from testing.broken.objectives import Healthy

from sslkit import replica
from sslkit.api import Outcome


class Classifier(Healthy):
    """Healthy, and a classifier beside it that trains on every row."""

    classes = 4

    def prepare(self, backbone):
        self.head = keras.layers.Dense(4, name="head")

    def call(self, batch, *, step):
        logits = self.head(self.encoder(batch.views["instance"][0], training=True))
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(
            tf.maximum(batch.label, 0), logits
        )
        labelled = tf.cast(batch.label >= 0, losses.dtype)
        found = tf.argmax(logits, axis=1, output_type=tf.int32)
        right = tf.cast(found == batch.label, losses.dtype)
        return Outcome(
            self.mean(losses, labelled), {"top1": self.share(right, labelled)}
        )

    def mean(self, losses, labelled):
        return tf.reduce_sum(losses * labelled) / self.count(labelled)

    def share(self, right, labelled):
        return self.mean(right, labelled)

    def count(self, labelled):
        return tf.maximum(replica.mean(tf.reduce_sum(labelled)), 1.0)


class TrainsTheUnlabelled(Classifier):
    def mean(self, losses, labelled):
        return tf.reduce_mean(losses)


class AveragesEachReplica(Classifier):
    def count(self, labelled):
        return tf.maximum(tf.reduce_sum(labelled), 1.0)


class CountsTheUnlabelled(Classifier):
    def share(self, right, labelled):
        return tf.reduce_mean(right * labelled)
