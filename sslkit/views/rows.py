"""Processing the rows of a batch one after the other, each by its own branch.

It is best on a CPU: only what a row needs is computed. All shapes are static, so XLA
can compile it. On an accelerator the whole batch is processed at once instead, see
`sslkit.views.contrastive`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf


def row_by_row(
    treat: Callable[[Any], tf.Tensor], rows: Any, *, dtype: tf.DType
) -> tf.Tensor:
    """Processes the rows of a batch, one after the other.

    Args:
        treat: the function for one row: tensors [1, ...] -> [1, ...], shaped like the
            first of them.
        rows: a structure of tensors [n, ...], n static.
        dtype: of the result.

    Returns:
        `dtype` [n, ...], shaped like the first of `rows`.
    """
    n, *shape = tf.nest.flatten(rows)[0].shape

    def step(number: tf.Tensor, done: tf.TensorArray) -> tuple:
        row = tf.nest.map_structure(
            lambda part: tf.gather(part, number)[tf.newaxis], rows
        )
        out = tf.ensure_shape(treat(row), [1, *shape])
        return number + 1, done.write(number, out[0])

    _, done = tf.while_loop(
        lambda number, _: number < n,
        step,
        (tf.constant(0), tf.TensorArray(dtype, n, element_shape=shape)),
        maximum_iterations=n,
    )
    return done.stack()
