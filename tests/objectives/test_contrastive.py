"""The contrastive loss, whole and in blocks, against loops and derived numbers."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from objectives import loop

from sslkit.objectives import (
    Computed,
    Listed,
    block_size,
    gather_view_major,
    multi_view_nt_xent,
)

BLOCKS = pytest.mark.parametrize("block", [None, 1, 5, 64])
VIEWS, BATCH, DIM, BANK = 3, 4, 8, 30
# Float32 sums of some tens of terms against float64.
CLOSE = {"rtol": 2e-6}


def listed(sets, columns, block):
    width = max(map(len, sets))
    rows = [[*row, *[-1] * (width - len(row))] for row in sets]
    return Listed(np.array(rows, "int32"), columns=columns, block=block)


def computed(sets, columns, block):
    mask = np.zeros([len(sets), columns], bool)
    for row, some in zip(mask, sets, strict=True):
        row[some] = True
    padded = tf.constant(np.pad(mask, [(0, 0), (0, 64)]))
    return Computed(
        lambda chosen: tf.gather(padded, chosen, axis=1),
        batch=len(sets),
        columns=columns,
        block=block,
    )


KINDS = pytest.mark.parametrize("kind", [listed, computed])


def sets_of(rng, columns):
    """Some candidates of each image, none its own; one image has none."""
    sets = [
        [
            k
            for k in rng.permutation(columns)[:6]
            if k >= VIEWS * BATCH or k % BATCH != i
        ]
        for i in range(BATCH)
    ]
    sets[1] = []
    return sets


@BLOCKS
@pytest.mark.parametrize("views", [2, 5])
def test_equal_embeddings_cost_the_log_of_the_candidates(views, block):
    n = 6
    z = tf.repeat(tf.constant([[[0.6, 0.8]]]), views, axis=0)
    anchors = tf.repeat(z, n, axis=1)
    loss = multi_view_nt_xent(
        anchors, gather_view_major(anchors), temperature=0.1, block=block
    )
    np.testing.assert_allclose(loss, 2 * np.log(views * n - 1), rtol=1e-6)


@BLOCKS
@KINDS
@pytest.mark.parametrize("use", ["attracted", "eliminated"])
@pytest.mark.parametrize("columns", [VIEWS * BATCH, BANK])
def test_equals_a_loop(columns, use, kind, block):
    rng = np.random.default_rng(columns)
    anchors = loop.unit(rng, VIEWS, BATCH, DIM)
    candidates = loop.unit(rng, columns, DIM)
    sets = sets_of(rng, columns)
    loss = multi_view_nt_xent(
        tf.constant(anchors, tf.float32),
        tf.constant(candidates, tf.float32),
        temperature=0.2,
        **{use: kind(sets, columns, block)},
        block=block,
    )
    wanted = loop.loss(anchors, candidates, temperature=0.2, **{use: sets})
    np.testing.assert_allclose(loss, wanted, **CLOSE)


@BLOCKS
def test_columns_that_are_not_written_yet_are_not_candidates(block):
    rng = np.random.default_rng(3)
    anchors = loop.unit(rng, VIEWS, BATCH, DIM)
    candidates = loop.unit(rng, BANK, DIM)
    for written in (VIEWS * BATCH, 17):
        loss = multi_view_nt_xent(
            tf.constant(anchors, tf.float32),
            tf.constant(candidates, tf.float32),
            temperature=0.2,
            written=tf.constant(written),
            block=block,
        )
        wanted = loop.loss(anchors, candidates, temperature=0.2, written=written)
        np.testing.assert_allclose(loss, wanted, **CLOSE)


def variants():
    for kind in (listed, computed):
        for use in ("attracted", "eliminated"):
            for through in (True, False):
                yield kind, use, through, False
    # XLA takes seconds to compile each.
    yield listed, "attracted", True, True
    yield computed, "eliminated", False, True


@pytest.mark.parametrize(("kind", "use", "through", "jit"), list(variants()))
def test_blocks_change_no_gradient(kind, use, through, jit):
    """1e-6 of the loss and 1e-5 of the largest gradient: the same sums, regrouped."""
    rng = np.random.default_rng(4)
    anchors = tf.constant(loop.unit(rng, VIEWS, BATCH, DIM), tf.float32)
    candidates = tf.constant(loop.unit(rng, BANK, DIM), tf.float32)
    sets = sets_of(rng, BANK)

    def both(block):
        def run(anchors, candidates):
            with tf.GradientTape() as tape:
                tape.watch([anchors, candidates])
                loss = multi_view_nt_xent(
                    anchors,
                    candidates,
                    temperature=0.1,
                    **{use: kind(sets, BANK, block)},
                    written=tf.constant(25),
                    through_candidates=through,
                    block=block,
                )
            return loss, tape.gradient(loss, [anchors, candidates])

        # Traced where it is compiled, which takes longer than to run it.
        compute = tf.function(run, jit_compile=True) if jit else run
        return compute(anchors, candidates)

    loss, (wanted, wanted_candidates) = both(None)
    # 30 columns: neither 7 nor 16 divides them.
    for block in (16,) if jit else (7, 15, 16):
        streamed, (gradient, gradient_candidates) = both(block)
        np.testing.assert_allclose(streamed, loss, rtol=1e-6)
        atol = 1e-5 * np.abs(wanted).max()
        np.testing.assert_allclose(gradient, wanted, rtol=0, atol=atol)
        assert (gradient_candidates is None) == (not through)
        if through:
            atol = 1e-5 * np.abs(wanted_candidates).max()
            np.testing.assert_allclose(
                gradient_candidates, wanted_candidates, rtol=0, atol=atol
            )


def test_blocks_change_no_gradient_on_replicas(two_replicas):
    rng = np.random.default_rng(5)
    everyone = loop.unit(rng, VIEWS, 2 * BATCH, DIM)

    def step(block):
        def run(anchors):
            with tf.GradientTape() as tape:
                tape.watch(anchors)
                candidates = gather_view_major(anchors)
                loss = multi_view_nt_xent(
                    anchors, candidates, temperature=0.1, block=block
                )
            return loss, tape.gradient(loss, anchors)

        shards = two_replicas.experimental_distribute_values_from_function(
            lambda context: tf.constant(
                everyone[:, context.replica_id_in_sync_group * BATCH :][:, :BATCH],
                tf.float32,
            )
        )
        outputs = tf.function(lambda: two_replicas.run(run, args=(shards,)))()
        return [
            np.stack([x.numpy() for x in two_replicas.experimental_local_results(out)])
            for out in outputs
        ]

    losses, gradients = step(None)
    streamed, streamed_gradients = step(7)
    np.testing.assert_allclose(streamed, losses, rtol=1e-6)
    atol = 1e-5 * np.abs(gradients).max()
    np.testing.assert_allclose(streamed_gradients, gradients, rtol=0, atol=atol)
    flat = everyone.reshape(-1, DIM)
    wanted = loop.loss(everyone, flat, temperature=0.1)
    np.testing.assert_allclose(losses.mean(), wanted, **CLOSE)


def test_blocks_are_as_wide_as_memory_allows():
    # 2^22 entries over 10,240 rows are 409 columns: three times 128.
    assert block_size(rows=10_240, columns=10_240, block=None) == 384
    assert block_size(rows=2_048, columns=2_048, block=None) is None
    assert block_size(rows=2**30, columns=2_048, block=None) == 128
    assert block_size(rows=10, columns=30, block=0) is None
    assert block_size(rows=10, columns=30, block=30) is None
    assert block_size(rows=10, columns=30, block=8) == 8
