"""Going over candidates in blocks of columns, to avoid a full similarity matrix."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import tensorflow as tf

# Entries of one block of a similarity matrix, if the size is not given: 16 MB in
# float32, so that a block stays in the cache while it is used. On a CPU this is twice
# as fast as the whole matrix and as blocks of 64 MB. Smaller matrices are not divided.
_ENTRIES = 2**22
# Blocks are multiples of this, the width of matrix units.
_LANES = 128


def block_size(*, rows: int, columns: int, block: int | None) -> int | None:
    """Returns how many columns to handle at once.

    Args:
        rows: height of the similarity matrix.
        columns: its width.
        block: the number that the user wants; 0 for the whole matrix; None for as many
            as give a block of at most 2^22 entries.

    Returns:
        Columns per block, or None if one block holds all.

    Examples:
        >>> block_size(rows=40960, columns=40960, block=None)
        128
        >>> block_size(rows=512, columns=512, block=None) is None
        True
    """
    if block is None:
        block = max(_ENTRIES // rows // _LANES, 1) * _LANES
    return block if 0 < block < columns else None


def fold(
    body: Callable[..., Sequence[tf.Tensor]],
    state: Sequence[tf.Tensor],
    *,
    columns: int,
    block: int | None,
) -> list[tf.Tensor]:
    """Updates a state with each block of columns, one block after the other.

    Args:
        body: (columns of the block, int32 [n]; state) -> new state. Columns of the
            last block may lie past the end.
        state: the first state.
        columns: how many there are.
        block: columns per block; None for one block of all.

    Returns:
        The last state.
    """
    if block is None:
        return list(body(tf.range(columns), *state))
    within = tf.range(block)

    def step(index: tf.Tensor, *state: tf.Tensor) -> list[tf.Tensor]:
        return [index + 1, *body(index * block + within, *state)]

    count = -(-columns // block)
    # One iteration at a time: two would have two blocks in memory.
    _, *last = tf.while_loop(
        lambda index, *_: index < count,
        step,
        [tf.constant(0), *state],
        parallel_iterations=1,
        maximum_iterations=count,
    )
    return last


def fold_and_stack(
    body: Callable[..., tuple[Sequence[tf.Tensor], tf.Tensor]],
    state: Sequence[tf.Tensor],
    *,
    like: tf.Tensor,
    columns: int,
    block: int | None,
) -> tuple[list[tf.Tensor], tf.Tensor]:
    """Updates a state with each block, and returns one row per column.

    Args:
        body: (columns of the block, int32 [n]; state) -> new state, and the block's
            rows, float [n, D].
        state: the first state.
        like: [any, D], with the dtype of the rows.
        columns: how many there are.
        block: columns per block; None for one block of all.

    Returns:
        The last state, and the rows of all columns, float [columns, D].
    """
    if block is None:
        new, rows = body(tf.range(columns), *state)
        return list(new), rows
    count = -(-columns // block)
    dim = like.shape[1]
    kept = tf.TensorArray(like.dtype, size=count, element_shape=[block, dim])

    def step(
        columns: tf.Tensor, kept: tf.TensorArray, *state: tf.Tensor
    ) -> list[tf.Tensor]:
        new, rows = body(columns, *state)
        return [kept.write(columns[0] // block, rows), *new]

    kept, *last = fold(step, [kept, *state], columns=columns, block=block)
    return last, tf.reshape(kept.stack(), [count * block, dim])[:columns]


def take(rows: tf.Tensor, columns: tf.Tensor) -> tf.Tensor:
    """Returns the rows of a block's columns; past the end, the last row is repeated."""
    return tf.gather(rows, tf.minimum(columns, rows.shape[0] - 1))
