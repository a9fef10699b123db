"""Softmax regression in minibatches, for data that is too large for lbfgs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from sslkit.optimize.adam import Adam

_EPOCHS = 20
_UPDATES = 1000
_BATCH = 1024


class Setting(NamedTuple):
    """The settings that a sweep varies."""

    rate: float
    """The learning rate at the start, times the root of the width of the features."""
    strength: float
    """L2 on the kernel, per example."""


def fit_minibatches(
    x: np.ndarray,
    label: np.ndarray,
    *,
    classes: int,
    settings: Sequence[Setting],
    seed: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Minimises mean cross entropy + strength / 2 * |kernel|^2 with Adam.

    All settings are fitted together, in one pass over the data. Adam's learning rate is
    rate / sqrt(dim), so that a step changes logits by the same amount whatever the
    width. It falls to 0 along half a cosine over 20 epochs, or 1000 updates if that is
    more, in batches of 1024. All weights start at zero.

    Args:
        x: float32 [n, dim], standardised.
        label: int [n] in [0, classes).
        classes: number of classes.
        settings: learning rates and L2 strengths, k pairs.
        seed: fixes the order of examples.

    Returns:
        Kernels float32 [k, dim, classes] and biases float32 [k, 1, classes].
    """
    weights = [
        tf.Variable(tf.zeros([len(settings), x.shape[1], classes])),
        tf.Variable(tf.zeros([len(settings), 1, classes])),
    ]
    adam = Adam()
    slots = [
        {name: tf.Variable(tf.zeros_like(weight)) for name in adam.slots}
        for weight in weights
    ]
    strength = tf.constant([setting.strength for setting in settings], tf.float32)
    # One per setting, to broadcast with [k, dim, classes] and [k, 1, classes].
    peaks = np.array([setting.rate for setting in settings], np.float32)
    peaks = peaks[:, np.newaxis, np.newaxis] / np.sqrt(x.shape[1])

    @tf.function(reduce_retracing=True)
    def update(x: tf.Tensor, label: tf.Tensor, step: tf.Tensor, rate: tf.Tensor):
        kernel, bias = weights
        with tf.GradientTape() as tape:
            logits = tf.einsum("nd,kdc->knc", x, kernel) + bias
            target = tf.broadcast_to(label, tf.shape(logits)[:2])
            entropy = tf.nn.sparse_softmax_cross_entropy_with_logits(target, logits)
            decay = tf.reduce_sum(tf.square(kernel), axis=[1, 2])
            # The settings share no weights, so the gradient of the sum is that of each.
            loss = tf.reduce_sum(
                tf.reduce_mean(entropy, axis=1) + 0.5 * strength * decay
            )
        for weight, kept, gradient in zip(
            weights, slots, tape.gradient(loss, weights), strict=True
        ):
            new, moments = adam.update(
                tf.convert_to_tensor(weight),
                gradient,
                {name: tf.convert_to_tensor(slot) for name, slot in kept.items()},
                path="",
                rate=rate,
                step=step,
            )
            weight.assign(new)
            for name, slot in kept.items():
                slot.assign(moments[name])

    examples = len(x)
    batch = min(_BATCH, examples)
    an_epoch = examples // batch
    epochs = max(_EPOCHS, -(-_UPDATES // an_epoch))
    random = np.random.default_rng(seed)
    step = 0
    for _ in range(epochs):
        order = random.permutation(examples)
        # Examples that do not fill a batch are left out until the next epoch's order.
        for start in range(0, an_epoch * batch, batch):
            rows = order[start : start + batch]
            rate = peaks * 0.5 * (1 + np.cos(np.pi * step / (epochs * an_epoch)))
            update(
                tf.constant(x[rows]),
                tf.constant(label[rows]),
                tf.constant(step, tf.int64),
                tf.constant(rate, tf.float32),
            )
            step += 1
    return weights[0].numpy(), weights[1].numpy()
