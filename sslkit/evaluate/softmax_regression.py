"""Softmax regression in minibatches, for more features than lbfgs can go through."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

_EPOCHS = 20
_UPDATES = 1000
_BATCH = 1024
_RATE = 0.1
_BETA_1, _BETA_2, _EPSILON = 0.9, 0.999, 1e-8


def fit_minibatches(
    x: np.ndarray,
    label: np.ndarray,
    *,
    classes: int,
    strengths: Sequence[float],
    seed: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Minimises mean cross entropy + strength / 2 * |kernel|^2 with Adam.

    All strengths are fitted at once, so the data is gone through once for all of them.
    Adam (Kingma and Ba 2015, arXiv:1412.6980, algorithm 1) at rate 0.1 / sqrt(dim), so
    that a step moves logits alike whatever the width, annealed to 0 by half a
    cosine over 20 epochs, or 1000 updates if that is more, in batches of 1024; the
    start is zero.

    Args:
        x: float32 [n, dim], standardised.
        label: int [n] in [0, classes).
        classes: number of classes.
        strengths: L2 strengths, k of them.
        seed: fixes the order of examples.

    Returns:
        Kernels float32 [k, dim, classes] and biases float32 [k, 1, classes].
    """
    weights = [
        tf.Variable(tf.zeros([len(strengths), x.shape[1], classes])),
        tf.Variable(tf.zeros([len(strengths), 1, classes])),
    ]
    first = [tf.Variable(tf.zeros_like(w)) for w in weights]
    second = [tf.Variable(tf.zeros_like(w)) for w in weights]
    strength = tf.constant(strengths, tf.float32)

    @tf.function(reduce_retracing=True)
    def update(x: tf.Tensor, label: tf.Tensor, step: tf.Tensor, rate: tf.Tensor):
        kernel, bias = weights
        with tf.GradientTape() as tape:
            logits = tf.einsum("nd,kdc->knc", x, kernel) + bias
            target = tf.broadcast_to(label, tf.shape(logits)[:2])
            entropy = tf.nn.sparse_softmax_cross_entropy_with_logits(target, logits)
            decay = tf.reduce_sum(tf.square(kernel), axis=[1, 2])
            # The strengths share no weight: the gradient of the sum is each one's own.
            loss = tf.reduce_sum(
                tf.reduce_mean(entropy, axis=1) + 0.5 * strength * decay
            )
        for w, m, v, gradient in zip(
            weights, first, second, tape.gradient(loss, weights), strict=True
        ):
            m.assign(_BETA_1 * m + (1 - _BETA_1) * gradient)
            v.assign(_BETA_2 * v + (1 - _BETA_2) * tf.square(gradient))
            mean = m / (1 - _BETA_1**step)
            scale = tf.sqrt(v / (1 - _BETA_2**step)) + _EPSILON
            w.assign_sub(rate * mean / scale)

    examples = len(x)
    batch = min(_BATCH, examples)
    an_epoch = examples // batch
    epochs = max(_EPOCHS, -(-_UPDATES // an_epoch))
    random = np.random.default_rng(seed)
    peak = _RATE / np.sqrt(x.shape[1])
    step = 0
    for _ in range(epochs):
        order = random.permutation(examples)
        # What does not fill a batch comes up in another epoch's order.
        for start in range(0, an_epoch * batch, batch):
            rows = order[start : start + batch]
            rate = peak * 0.5 * (1 + np.cos(np.pi * step / (epochs * an_epoch)))
            update(
                tf.constant(x[rows]),
                tf.constant(label[rows]),
                tf.constant(step + 1, tf.float32),
                tf.constant(rate, tf.float32),
            )
            step += 1
    return weights[0].numpy(), weights[1].numpy()
