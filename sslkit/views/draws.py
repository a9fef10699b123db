"""Seeded draws: every random number of a view is a pure function of its seed.

A batch of seeds draws at once, with Threefry-2x32 written in integer arithmetic: row i
of the result depends on row i of the seeds alone, wherever the row stands, on whatever
device, and however many replicas there are. Only the boxes of crops, which are never
drawn on a device, come from Philox, which the host has as one operation.
"""

from __future__ import annotations

import tensorflow as tf

# Named, because the default differs between devices.
_HOST_ALGORITHM = "philox"

_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
_PARITY = 0x1BD11BDA
_ROUND_GROUPS = 5

# The second word of the counter sets derived seeds apart from numbers drawn.
_NUMBERS, _SEEDS = 0, 1


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


def uniform(seeds: tf.Tensor, count: int) -> tf.Tensor:
    """Draws for each row of a batch, in plain vectorised arithmetic that XLA compiles.

    Args:
        seeds: int32 [n, 2].
        count: how many numbers a row.

    Returns:
        float32 [n, count] in [0, 1), multiples of 2**-24. A row depends on its own seed
        only, and its first numbers do not depend on `count`.
    """
    key = tf.bitcast(seeds, tf.uint32)[:, tf.newaxis, :]
    blocks = tf.range((count + 1) // 2, dtype=tf.int32)
    counter = tf.stack([blocks, tf.fill(tf.shape(blocks), _NUMBERS)], axis=-1)
    counter = tf.bitcast(counter, tf.uint32)
    words = threefry2x32(key, counter[tf.newaxis])
    words = tf.reshape(words, [-1, 2 * ((count + 1) // 2)])[:, :count]
    # A float32 holds 24 bits; more would round up to 1.
    mantissa = tf.bitwise.right_shift(words, tf.constant(8, tf.uint32))
    return tf.cast(mantissa, tf.float32) * 2.0**-24


def threefry2x32(key: tf.Tensor, counter: tf.Tensor) -> tf.Tensor:
    """Encrypts counters with keys: Threefry-2x32, 20 rounds.

    Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (SC 2011), section 4.

    Args:
        key: uint32 [..., 2].
        counter: uint32 [..., 2]; the leading shapes broadcast.

    Returns:
        uint32 [..., 2], two random words.
    """
    k0, k1 = key[..., 0], key[..., 1]
    parity = tf.constant(_PARITY, tf.uint32)
    k2 = tf.bitwise.bitwise_xor(tf.bitwise.bitwise_xor(k0, k1), parity)
    keys = (k0, k1, k2)
    x0, x1 = counter[..., 0] + k0, counter[..., 1] + k1
    for group in range(_ROUND_GROUPS):
        for bits in _ROTATIONS[group % 2]:
            x0 = x0 + x1
            x1 = tf.bitwise.bitwise_xor(_rotate_left(x1, bits), x0)
        x0 = x0 + keys[(group + 1) % 3]
        x1 = x1 + keys[(group + 2) % 3] + tf.constant(group + 1, tf.uint32)
    return tf.stack([x0, x1], axis=-1)


def _rotate_left(word: tf.Tensor, bits: int) -> tf.Tensor:
    left = tf.bitwise.left_shift(word, tf.constant(bits, tf.uint32))
    right = tf.bitwise.right_shift(word, tf.constant(32 - bits, tf.uint32))
    return tf.bitwise.bitwise_or(left, right)
