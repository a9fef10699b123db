"""The order of examples: a pure function of (seed, position).

A position is the number of examples that a run has consumed before this one, over all
hosts. Step `s` with global batch `B` reads the positions `s * B` to `s * B + B - 1`. So
a batch may span two epochs, and no example is dropped. Every position can be computed
directly, so resuming costs nothing and reads nothing again.
"""

from __future__ import annotations

import functools

import tensorflow as tf

from sslkit.randomness import order_key

__all__ = ["index_at", "position", "positions", "shuffle"]

# With the operation's default of 4 rounds, neighbouring epochs have almost the same
# order from 2^16 examples on. 32 is the number that its cipher (Simon 32/64) specifies.
_ROUNDS = 32


def shuffle(index: tf.Tensor, *, key: tf.Tensor, size: int) -> tf.Tensor:
    """Maps indices through the keyed permutation of `range(size)`.

    Args:
        index: int64, any shape of rank 0 or 1; each in [0, size).
        key: int64 [3], or [n, 3] for one permutation each.
        size: examples, at least 1.

    Returns:
        int64, shaped like `index`.
    """
    # If `size - 1` is a power of four, the operation counts one bit too few and never
    # returns the last index. With one index more it is right; a result outside the
    # range is then mapped again, which gives a permutation (cycle walking).
    last = size - 1
    if size > 1 and last == 4 ** ((last.bit_length() - 1) // 2):
        last = size
    top = tf.constant(last, tf.int64)
    moved = _permute(index, key, top)
    if last == size:
        moved = tf.where(moved == size, _permute(moved, key, top), moved)
    return moved


def mixed(index: tf.Tensor, *, size: int) -> tf.Tensor:
    """Maps indices by a fixed permutation, so that a part of a source has all classes.

    Args:
        index: int64, any shape of rank 0 or 1; each in [0, size).
        size: examples, at least 1.

    Returns:
        int64, shaped like `index`.
    """
    return shuffle(index, key=tf.zeros([3], tf.int64), size=size)


def _permute(index: tf.Tensor, key: tf.Tensor, top: tf.Tensor) -> tf.Tensor:
    return tf.raw_ops.RandomIndexShuffle(
        index=index, seed=key, max_index=top, rounds=_ROUNDS
    )


def index_at(
    position: tf.Tensor, *, seed: int, size: int
) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the example at a position of the run, and its epoch.

    Args:
        position: int64 [] or [n], examples consumed before this one.
        seed: of the run, in [0, 2^31).
        size: examples per epoch.

    Returns:
        (epoch, index), int64 shaped like `position`; within an epoch every index in
        [0, size) appears once.
    """
    position = tf.convert_to_tensor(position, tf.int64)
    epoch = position // size
    key = order_key(seed, epoch)
    return epoch, shuffle(position % size, key=key, size=size)


def positions(
    start_step: int,
    stop_step: int,
    *,
    batch_size: int,
    hosts: int = 1,
    host: int = 0,
) -> tf.data.Dataset:
    """Returns the positions that one host reads, in order.

    Args:
        start_step: the first step.
        stop_step: the step after the last.
        batch_size: the global batch; a multiple of `hosts`.
        hosts: input pipelines that share each batch.
        host: which of them this is.

    Returns:
        A dataset of int64 []: the `host`-th of `hosts` equal blocks of each step's
        batch.
    """
    share = batch_size // hosts
    counts = tf.data.Dataset.range(start_step * share, stop_step * share)
    return counts.map(
        functools.partial(position, batch_size=batch_size, hosts=hosts, host=host)
    )


def position(
    count: tf.Tensor, *, batch_size: int, hosts: int = 1, host: int = 0
) -> tf.Tensor:
    """Returns the position that a host reads after `count` others.

    Args:
        count: int64 [], examples that this host has read before in this run.
        batch_size: the global batch; a multiple of `hosts`.
        hosts: input pipelines that share each batch.
        host: which of them this is.

    Returns:
        int64 [].
    """
    share = batch_size // hosts
    return (count // share) * batch_size + host * share + count % share
