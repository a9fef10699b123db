"""Batch normalisation over the global batch."""

from __future__ import annotations

import functools

import keras
import tensorflow as tf

from sslkit import replica
from sslkit.arguments import PositiveFloat, Share, checked
from sslkit.nn.precision import full_dtype


class BatchNorm(keras.layers.Layer):
    """Batch normalisation with exact statistics of all replicas' batches.

    Ioffe and Szegedy 2015, algorithm 1. Replicas merge their moments by the pairwise
    rule of Chan et al. 1983, eq. 2.1: the variance is the mean of the shards'
    variances plus the mean squared distance of the shards' means to the global mean.
    Unlike E[x^2] - E[x]^2, it keeps its precision when |mean| is far above the standard
    deviation. All replicas must have the same number of rows.

    Only `training` decides between batch and moving statistics; `layer.trainable` has
    no effect on it, because a momentum encoder is frozen but normalises by its batch.

    Args:
        momentum: share of the old moving statistics that an update keeps, in [0, 1]. It
            has nothing to do with momentum twins or with an optimizer's momentum.
        epsilon: added to the variance.
        center: whether to add a learned offset, beta.
        scale: whether to multiply by a learned factor, gamma.
        zero_gamma: whether gamma starts at 0 and not at 1 (Goyal et al. 2017, sec.
            5.1), so that a residual branch adds nothing at first.
        cross_replica: whether to normalise by the global batch. If not, each replica
            normalises by its own batch; the moving statistics are averaged over
            replicas, so that they stay equal.
        name: the layer's name.
    """

    @checked
    def __init__(
        self,
        *,
        momentum: Share = 0.9,
        epsilon: PositiveFloat = 1e-5,
        center: bool = True,
        scale: bool = True,
        zero_gamma: bool = False,
        cross_replica: bool = True,
        name: str,
    ) -> None:
        """Keeps the options; see the class."""
        # Otherwise Keras would round float32 inputs to the compute dtype first.
        super().__init__(name=name, autocast=False)
        self.momentum = momentum
        self.epsilon = epsilon
        self.center = center
        self.scale = scale
        self.zero_gamma = zero_gamma
        self.cross_replica = cross_replica

    def build(self, shape: tuple[int | None, ...]) -> None:
        """Creates gamma, beta and the moving statistics, one value per channel."""
        # Not cast to half precision when read: the output depends on the statistics.
        weight = functools.partial(
            self.add_weight, shape=(shape[-1],), dtype=full_dtype(self), autocast=False
        )
        state = functools.partial(
            weight, trainable=False, aggregation="only_first_replica"
        )
        first = "zeros" if self.zero_gamma else "ones"
        self.gamma = weight(name="gamma", initializer=first) if self.scale else None
        self.beta = weight(name="beta", initializer="zeros") if self.center else None
        self.moving_mean = state(name="moving_mean", initializer="zeros")
        self.moving_variance = state(name="moving_variance", initializer="ones")

    def call(self, x: tf.Tensor, *, training: bool) -> tf.Tensor:
        """Normalises each channel.

        Args:
            x: [n, channels] or [n, height, width, channels], any float dtype; moments
                and the normalisation are computed in float32 or more.
            training: whether to normalise by the batch, and to move the moving
                statistics towards its mean and (biased) variance.

        Returns:
            The normalised tensor, with the shape and dtype of `x`.
        """
        wide = tf.cast(x, full_dtype(self))
        if not training:
            out = self._normalise(wide, self.moving_mean, self.moving_variance)
        elif self.cross_replica and replica.count() > 1:
            mean, variance = _merge(*_moments(wide))
            self._track(mean, variance)
            out = self._normalise(wide, mean, variance)
        else:
            if _fusible(wide):
                out, mean, variance = _fused(wide, *self._affine(), self.epsilon)
            else:
                mean, variance = _moments(wide)
                out = self._normalise(wide, mean, variance)
            # The statistics must stay equal on all replicas, even if the moments
            # differ.
            self._track(*replica.mean((mean, variance)))
        return tf.cast(out, x.dtype)

    def _affine(self) -> tuple[tf.Tensor, tf.Tensor]:
        like = self.moving_mean
        gamma = tf.ones_like(like) if self.gamma is None else self.gamma
        beta = tf.zeros_like(like) if self.beta is None else self.beta
        return tf.convert_to_tensor(gamma), tf.convert_to_tensor(beta)

    def _normalise(
        self, x: tf.Tensor, mean: tf.Tensor, variance: tf.Tensor
    ) -> tf.Tensor:
        gamma, beta = self._affine()
        # Subtracting the mean first, instead of merging it into beta, keeps the
        # precision of channels whose mean is far above their standard deviation.
        return (x - mean) * (gamma * tf.math.rsqrt(variance + self.epsilon)) + beta

    def _track(self, mean: tf.Tensor, variance: tf.Tensor) -> None:
        statistics = [self.moving_mean, self.moving_variance]
        moved = [
            self.momentum * moving + (1 - self.momentum) * tf.stop_gradient(seen)
            for moving, seen in zip(statistics, (mean, variance), strict=True)
        ]
        # They are equal already; a plain assignment would reduce them once more.
        replica.assign(statistics, moved)


def _near_zero(x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Subtracts one value of each channel, so that sums keep their precision.

    Returns:
        The difference, whose mean is within a few standard deviations of 0, and the
        value, [channels].
    """
    pivot = tf.stop_gradient(x[(0,) * (x.shape.rank - 1)])
    return x - pivot, pivot


def _moments(x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns each channel's mean and biased variance."""
    axes = list(range(x.shape.rank - 1))
    x, pivot = _near_zero(x)
    mean = tf.reduce_mean(x, axes)
    # The derivative of the variance by the mean is exactly zero.
    distance = tf.math.squared_difference(x, tf.stop_gradient(mean))
    return pivot + mean, tf.reduce_mean(distance, axes)


def _merge(mean: tf.Tensor, variance: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the moments of the global batch from those of the shards."""
    # One collective for both. Two, one after the other, transfer less data but wait for
    # the network twice: 8.9 ms instead of 6.5 for 20 layers on two CPU replicas.
    shards = replica.gather(tf.stack([mean, variance])[tf.newaxis])
    means, variances = tf.unstack(shards, axis=1)
    merged = tf.reduce_mean(means, axis=0)
    between = tf.math.squared_difference(means, tf.stop_gradient(merged))
    return merged, tf.reduce_mean(variances + between, axis=0)


def _fusible(x: tf.Tensor) -> bool:
    """Returns whether TensorFlow's fused kernel accepts such a tensor."""
    return x.shape.rank == 4 and x.dtype == tf.float32


def _fused(
    x: tf.Tensor, gamma: tf.Tensor, beta: tf.Tensor, epsilon: float
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Normalises by this replica's moments in one kernel, 3 times as fast on a CPU.

    Returns:
        The normalised tensor, and each channel's mean and biased variance, through
        which no gradient flows.
    """
    # XLA computes the kernel's variance as E[x^2] - E[x]^2, which is precise only if
    # the mean is small.
    x, pivot = _near_zero(x)
    out = tf.raw_ops.FusedBatchNormV3(
        x=x,
        scale=gamma,
        offset=beta,
        mean=tf.zeros([0]),
        variance=tf.zeros([0]),
        epsilon=epsilon,
        is_training=True,
    )
    count = tf.cast(tf.reduce_prod(tf.shape(x)[:-1]), x.dtype)
    # The variance that the kernel returns is divided by count - 1.
    return out.y, pivot + out.batch_mean, out.batch_variance * (count - 1) / count
