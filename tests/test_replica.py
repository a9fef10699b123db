"""Communication between replicas, and its gradients."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from sslkit import replica
from sslkit.testing.devices import REPLICAS, strategy

EIGHT = np.arange(16, dtype=np.float32).reshape(8, 2) ** 2


def run(replicas, body, rows=EIGHT):
    """Runs `body` on each replica's share of some rows; returns all results."""
    place = strategy(replicas)
    share = len(rows) // replicas

    def mine(context):
        start = context.replica_id_in_sync_group * share
        return tf.constant(rows[start : start + share])

    shards = place.experimental_distribute_values_from_function(mine)
    out = tf.function(lambda x: place.run(body, args=(x,)))(shards)
    return [
        tf.nest.map_structure(np.asarray, one)
        for one in zip(
            *map(place.experimental_local_results, tf.nest.flatten(out)), strict=True
        )
    ]


@pytest.mark.parametrize("replicas", REPLICAS)
def test_counts_and_numbers_replicas(replicas):
    found = run(replicas, lambda x: (tf.constant(replica.count()), replica.index()))
    assert [tuple(map(int, one)) for one in found] == [
        (replicas, number) for number in range(replicas)
    ]


@pytest.mark.parametrize("replicas", REPLICAS)
def test_gathers_in_replica_order_on_all_replicas(replicas):
    def body(x):
        everyone = replica.gather(x)
        assert everyone.shape == (8, 2)  # Static, which XLA needs.
        return everyone

    for (everyone,) in run(replicas, body):
        np.testing.assert_array_equal(everyone, EIGHT)


@pytest.mark.parametrize("dtype", ["float64", "bfloat16", "int32"])
def test_gathers_other_types(dtype):
    for (everyone,) in run(2, lambda x: replica.gather(tf.cast(x, dtype))):
        np.testing.assert_array_equal(everyone.astype(np.float32), EIGHT)


@pytest.mark.parametrize("replicas", REPLICAS)
def test_averages_nests_of_any_types(replicas):
    def body(x):
        top = tf.reduce_max(x)
        return replica.mean((x, {"top": tf.cast(top, tf.float64)}, top))

    shards = np.split(EIGHT, replicas)
    for mean, wide, top in run(replicas, body):
        np.testing.assert_allclose(mean, np.mean(shards, axis=0))
        assert wide.dtype == np.float64
        wanted = np.mean([shard.max() for shard in shards])
        assert wide == top == wanted


@pytest.mark.parametrize("replicas", REPLICAS)
def test_gradients_average_to_those_of_one_device(replicas):
    """The loss of every row depends on all rows, as in a contrastive loss."""
    weights = tf.constant([0.01, -0.02])

    def body(x):
        with tf.GradientTape() as tape:
            tape.watch(weights)
            mine = tf.tanh(x * weights)
            everyone = replica.gather(mine)
            spread = replica.mean(tf.reduce_mean(mine**2))
            loss = tf.reduce_mean(tf.einsum("id,kd->ik", mine, everyone) ** 2) + spread
        return replica.mean(tape.gradient(loss, weights))

    with tf.GradientTape() as tape:
        tape.watch(weights)
        mine = tf.tanh(EIGHT * weights)
        spread = tf.reduce_mean(mine**2)
        loss = tf.reduce_mean(tf.einsum("id,kd->ik", mine, mine) ** 2) + spread
    wanted = tape.gradient(loss, weights)
    for (gradient,) in run(replicas, body):
        # Sums of 64 float32 terms in another order.
        np.testing.assert_allclose(gradient, wanted, rtol=1e-5)


def test_gather_refuses_an_unknown_number_of_rows():
    place = strategy(2)

    @tf.function(input_signature=[tf.TensorSpec([None, 2])])
    def gather(x):
        return place.run(replica.gather, args=(x,))

    with pytest.raises(ValueError, match="static number of rows; drop the remainder"):
        gather(EIGHT)


def test_building_symbolically_has_the_shapes_of_all_replicas():
    class Gathers(keras.layers.Layer):
        def call(self, x):
            replica.mean(x)
            return replica.gather(x) + tf.cast(replica.index(), x.dtype)

    with strategy(2).scope():
        assert Gathers()(keras.KerasTensor((4, 2))).shape == (8, 2)


def test_refuses_to_be_called_between_replicas():
    with (
        strategy(2).scope(),
        pytest.raises(RuntimeError, match=r"by strategy\.run"),
    ):
        replica.mean(tf.constant(1.0))


@pytest.mark.parametrize("replicas", REPLICAS)
def test_assigns_on_all_replicas(replicas):
    place = strategy(replicas)
    with place.scope():
        weights = [
            keras.Variable(np.zeros(2, np.float32), aggregation=aggregation, name="w")
            for aggregation in ("none", "mean", "only_first_replica")
        ]

    def body(x):
        total = tf.reduce_sum(replica.gather(x), axis=0)
        replica.assign(weights, [total, 2 * total, 3 * total])
        return tf.constant(0)

    run(replicas, body)
    for number, weight in enumerate(weights, start=1):
        copies = place.experimental_local_results(weight.value)
        assert len(copies) == replicas
        for copy in copies:
            np.testing.assert_allclose(copy, number * EIGHT.sum(axis=0))


def test_assigns_each_variable_its_value():
    with pytest.raises(ValueError, match="shorter"):
        replica.assign([keras.Variable(0.0), keras.Variable(0.0)], [tf.zeros([])])
