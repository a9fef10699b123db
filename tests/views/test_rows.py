"""Row by row: every row is processed separately, and keeps its place."""

from __future__ import annotations

import pytest
import tensorflow as tf

from sslkit.views.rows import row_by_row


@pytest.mark.parametrize("jit", [False, True])
def test_every_row_is_processed(jit):
    rows = tf.constant([[1, 2], [3, 4], [5, 6]])

    @tf.function(jit_compile=jit)
    def run():
        return row_by_row(
            lambda row: tf.cast(row[0], tf.float32) * row[1][:, tf.newaxis],
            (rows, tf.constant([1.0, 10.0, 100.0])),
            dtype=tf.float32,
        )

    assert run().numpy().tolist() == [[1, 2], [30, 40], [500, 600]]


def test_a_row_is_processed_once_and_separately():
    shapes = []

    def treat(row):
        shapes.append(row.shape)
        return row

    # Run eagerly, so that each visit is seen.
    row_by_row(treat, tf.zeros([4, 7]), dtype=tf.float32)
    assert shapes == [(1, 7)] * 4
