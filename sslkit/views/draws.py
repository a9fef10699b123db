"""Seeds of views: every random number of a view is a pure function of its seed.

Numbers come from `sslkit.randomness`. Only the boxes of crops, which are never drawn on
a device, come from Philox, which the host has as one operation.
"""

from __future__ import annotations

import tensorflow as tf

from sslkit.randomness import threefry2x32

# Named, because the default differs between devices.
_HOST_ALGORITHM = "philox"

# The second word of the counter, 0 for numbers drawn, sets derived seeds apart.
_SEEDS = 1


def view_seed(seed: tf.Tensor, view: tf.Tensor | int) -> tf.Tensor:
    """Returns the seed of one view of an example, or of many views at once.

    Args:
        seed: int32 [..., 2], the example's seed.
        view: int32 [...], the view's number among all views of the example; broadcasts
            against the leading dimensions of `seed`.

    Returns:
        int32 [..., 2].
    """
    view = tf.convert_to_tensor(view, tf.int32)
    counter = tf.stack([view, tf.fill(tf.shape(view), _SEEDS)], axis=-1)
    words = threefry2x32(tf.bitcast(seed, tf.uint32), tf.bitcast(counter, tf.uint32))
    return tf.bitcast(words, tf.int32)


def seeds_of_views(seed: tf.Tensor, count: int) -> tf.Tensor:
    """Returns the seeds of what is drawn for an example's views on the host alone.

    Args:
        seed: int32 [2], the example's seed.
        count: how many views.

    Returns:
        int32 [count, 2].
    """
    return tf.random.stateless_uniform(
        [count, 2], seed, None, None, tf.int32, alg=_HOST_ALGORITHM
    )
