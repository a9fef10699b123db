"""Grouping: every row gets its own treatment, in its own place."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from sslkit.views.grouping import by_kind


def treated(kinds: list[int], count: int, *, tile: int, jit: bool) -> np.ndarray:
    rows = tf.range(len(kinds))[:, tf.newaxis]

    @tf.function(jit_compile=jit)
    def run():
        return by_kind(
            tf.constant(kinds),
            count,
            lambda kind, pair: pair[0] * 10 + kind + pair[1][:, tf.newaxis],
            (rows, 1000 * tf.range(len(kinds))),
            tile=tile,
            dtype=tf.int32,
        )

    return run()[:, 0].numpy()


@pytest.mark.parametrize("jit", [False, True])
@pytest.mark.parametrize("tile", [1, 2, 3, 20])
@pytest.mark.parametrize(
    ("kinds", "count"),
    [([2, 0, 2, 2, 1, 0, 2], 4), ([3], 4), ([0, 0, 0, 0], 1), ([3, 3, 0, 0], 4)],
)
def test_every_row_gets_its_treatment(kinds, count, tile, jit):
    expected = [1010 * row + kind for row, kind in enumerate(kinds)]
    assert treated(kinds, count, tile=tile, jit=jit).tolist() == expected


def test_only_filled_tiles_are_treated():
    visits = []

    def treat(kind, rows):
        visits.append(int(kind))
        return rows

    # Run eagerly, so that each visit is seen.
    by_kind(
        tf.constant([2, 0, 2, 2, 0]),
        9,
        treat,
        tf.zeros([5, 1]),
        tile=2,
        dtype=tf.float32,
    )
    assert visits == [0, 2, 2]
