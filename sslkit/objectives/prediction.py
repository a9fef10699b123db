"""Predicting the targets of some views from the other views."""

from __future__ import annotations

import tensorflow as tf


def cross_view_entropy(targets: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """Returns the cross-entropy of views against the targets of other views.

        -1/P sum over t, v != t, k of targets[t, i, k] log softmax(logits[v, i])[k]

    averaged over images i; P = T (V - 1) is the number of pairs. SwAV (Caron et al.
    2020, arXiv:2006.09882, sec. 3.1 and 3.2) and DINO (Caron et al. 2021,
    arXiv:2104.14294, eq. 3) minimise it.

    Args:
        targets: float [T, b, K], distributions of the first T views.
        logits: float [V, b, K], of all views, already divided by a temperature; V >= 2.

    Returns:
        float [], the mean over this replica's images.

    Examples:
        >>> targets = tf.constant([[[1.0, 0.0]]])  # one view, one image, two classes
        >>> logits = tf.zeros([2, 1, 2])  # two views that know nothing
        >>> print(f"{cross_view_entropy(targets, logits):.4f}")
        0.6931
    """
    count, views = targets.shape[0], logits.shape[0]
    log = tf.nn.log_softmax(logits, axis=2)
    # The sum over all pairs is one product of sums; pairs of a view with itself are
    # subtracted.
    everything = tf.reduce_sum(targets, 0) * tf.reduce_sum(log, 0)
    own = tf.reduce_sum(targets * log[:count], 0)
    pairs = count * (views - 1)
    return -tf.reduce_mean(tf.reduce_sum(everything - own, axis=1)) / pairs
