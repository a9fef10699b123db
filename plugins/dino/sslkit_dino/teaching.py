"""Centring and sharpening a teacher's scores to distributions."""

from __future__ import annotations

import keras
import tensorflow as tf

from sslkit import replica


class Teaching(keras.layers.Layer):
    """Centres and sharpens a teacher's scores (Caron et al. 2021, sec. 3.1, eq. 4).

    Args:
        centre_decay: share of the centre that each step keeps.
        temperature: divides centred scores after the warm-up.
        warmup_temperature: divides them at first.
        warmup_steps: updates over which the temperature changes linearly from one to
            the other.
        name: the layer's name.
    """

    def __init__(
        self,
        *,
        centre_decay: float,
        temperature: float,
        warmup_temperature: float,
        warmup_steps: int,
        name: str,
    ) -> None:
        """Keeps the options; see the class."""
        # The centre is kept and subtracted in float32, whatever the policy.
        super().__init__(name=name, autocast=False)
        self._kept = centre_decay
        self._last = temperature
        self._first = warmup_temperature if warmup_steps else temperature
        self._steps = max(1, warmup_steps)

    def build(self, shape: tuple[int | None, ...]) -> None:
        """Makes the centre, as wide as the scores."""
        self.centre = self.add_weight(
            name="centre",
            shape=(shape[-1],),
            initializer="zeros",
            trainable=False,
            autocast=False,
            aggregation="only_first_replica",
        )

    def call(
        self, scores: tf.Tensor, *, step: tf.Tensor
    ) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        """Returns the teacher's distributions, and updates the centre afterwards.

        Args:
            scores: float [n, K], the teacher's scores on this replica.
            step: int64 [], updates done so far.

        Returns:
            The distributions, float [n, K], and metrics in nats that show both kinds of
            collapse: `teacher_entropy`, the mean entropy of the distribution of a view,
            which is log(K) if all are uniform; and `spread`, the entropy of the mean
            distribution of the global batch, which is 0 if one score wins for all
            views.
        """
        centre = tf.convert_to_tensor(self.centre)
        mean = replica.mean(tf.reduce_mean(scores, axis=0))
        replica.assign([self.centre], [self._kept * centre + (1 - self._kept) * mean])
        done = tf.minimum(tf.cast(step, scores.dtype) / self._steps, 1)
        sharp = scores - centre
        sharp /= self._first + (self._last - self._first) * done
        said = tf.nn.softmax(sharp)
        entropy = -tf.reduce_sum(said * tf.nn.log_softmax(sharp), axis=1)
        together = replica.mean(tf.reduce_mean(said, axis=0))
        return said, {
            "teacher_entropy": tf.reduce_mean(entropy),
            "spread": -tf.reduce_sum(tf.math.xlogy(together, together)),
        }
