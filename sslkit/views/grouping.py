"""Grouping: each row of a batch gets its own kind of treatment, at the price of one.

Rows of one kind are brought together in tiles, and a loop runs over the tiles. All
shapes are static, so XLA compiles it; nothing is computed that no row asked for, but
for what fills a kind's last tile.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf


def by_kind(
    kinds: tf.Tensor,
    count: int,
    treat: Callable[[tf.Tensor, Any], tf.Tensor],
    rows: Any,
    *,
    tile: int,
    dtype: tf.DType,
) -> tf.Tensor:
    """Treats the rows of a batch, those of one kind together.

    Args:
        kinds: int32 [n], each in [0, count).
        count: how many kinds there are.
        treat: (kind, int32 []; rows of that kind, [tile, ...] each) -> [tile, ...], the
            shape of the first of `rows`. A row's result depends on that row alone.
        rows: a structure of tensors [n, ...], n static; the first has at least one more
            dimension.
        tile: rows treated at once. 1 wastes nothing; more keeps a wide device busy.
        dtype: of the result.

    Returns:
        `dtype` [n, ...], shaped like the first of `rows`, in its order.
    """
    first = tf.nest.flatten(rows)[0]
    n = first.shape[0]
    # Every kind leaves at most `tile - 1` places empty.
    tiles = (n + count * (tile - 1)) // tile
    order = tf.argsort(kinds, stable=True)
    sizes = tf.reduce_sum(tf.one_hot(kinds, count, dtype=tf.int32), axis=0)
    filled = -(-sizes // tile)
    last_tile = tf.cumsum(filled)
    kind = tf.gather(kinds, order)
    rank = tf.range(n) - tf.gather(tf.cumsum(sizes, exclusive=True), kind)
    place = tf.gather(last_tile - filled, kind) * tile + rank
    # An empty place repeats row 0, and nobody reads what comes of it.
    members = tf.tensor_scatter_nd_update(
        tf.zeros([tiles * tile], tf.int32), place[:, tf.newaxis], order
    )
    members = tf.reshape(members, [tiles, tile])
    passed = last_tile <= tf.range(tiles)[:, tf.newaxis]
    kind_of_tile = tf.reduce_sum(tf.cast(passed, tf.int32), axis=1)

    def treat_tile(number: tf.Tensor, done: tf.TensorArray) -> tuple:
        own = tf.gather(members, number)
        taken = tf.nest.map_structure(lambda part: tf.gather(part, own), rows)
        out = treat(tf.gather(kind_of_tile, number), taken)
        return number + 1, done.write(number, tf.ensure_shape(out, [tile, *shape]))

    shape = first.shape[1:]
    _, done = tf.while_loop(
        lambda number, _: number < last_tile[-1],
        treat_tile,
        (
            tf.constant(0),
            tf.TensorArray(dtype, tiles, element_shape=[tile, *shape]),
        ),
        maximum_iterations=tiles,
    )
    stack = tf.reshape(done.stack(), [tiles * tile, *shape])
    home = tf.tensor_scatter_nd_update(
        tf.zeros([n], tf.int32), order[:, tf.newaxis], place
    )
    return tf.gather(stack, home)
