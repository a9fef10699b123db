"""Batch normalisation: values, gradients, precision, replicas."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from sslkit.nn import BatchNorm

# Sums of some hundred float32 terms of size 1, in another order.
CLOSE = {"rtol": 1e-5, "atol": 1e-5}


@pytest.fixture
def policy():
    before = keras.config.dtype_policy()
    yield keras.config.set_dtype_policy
    keras.config.set_dtype_policy(before)


def draw(*shape, seed=0, mean=0.5, std=2.0):
    values = np.random.default_rng(seed).normal(mean, std, shape)
    return tf.constant(values, tf.float32)


def made(channels=3, **options):
    """Returns a layer whose gamma and beta are not the initial ones."""
    layer = BatchNorm(name="norm", **options)
    layer.build((None, channels))
    for seed, weight in enumerate((layer.gamma, layer.beta)):
        if weight is not None:
            weight.assign(draw(channels, seed=seed + 7))
    return layer


def run(layer, x, upstream):
    """Returns the output and the gradients of x, gamma and beta."""
    weights = [layer.gamma.value, layer.beta.value]
    with tf.GradientTape() as tape:
        tape.watch(x)
        out = layer(x, training=True)
        loss = tf.reduce_sum(out * upstream)
    return [out, *tape.gradient(loss, [x, *weights])]


def test_normalises_by_the_batch_and_tracks_it():
    layer = made(momentum=0.8)
    x = draw(5, 4, 4, 3)
    out = layer(x, training=True)
    flat = x.numpy().reshape(-1, 3).astype("float64")
    mean, variance = flat.mean(0), flat.var(0)
    want = (x.numpy() - mean) / np.sqrt(variance + 1e-5)
    want = want * layer.gamma.numpy() + layer.beta.numpy()
    np.testing.assert_allclose(out, want, **CLOSE)
    np.testing.assert_allclose(layer.moving_mean, 0.2 * mean, **CLOSE)
    np.testing.assert_allclose(layer.moving_variance, 0.8 + 0.2 * variance, **CLOSE)


def test_inference_uses_and_keeps_the_moving_statistics():
    layer = made(center=False)
    layer.moving_mean.assign([1.0, 2.0, 3.0])
    layer.moving_variance.assign([4.0, 9.0, 16.0])
    x = draw(6, 3)
    want = (x - [1.0, 2.0, 3.0]) / np.sqrt(np.array([4.0, 9.0, 16.0]) + 1e-5)
    out = layer(x, training=False)
    np.testing.assert_allclose(out, want * layer.gamma.numpy(), **CLOSE)
    assert layer.moving_mean.numpy().tolist() == [1.0, 2.0, 3.0]


def test_options_decide_what_is_learned():
    bare = made(center=False, scale=False)
    assert bare.trainable_variables == []
    assert [v.name for v in bare.variables] == ["moving_mean", "moving_variance"]
    silent = BatchNorm(zero_gamma=True, name="norm")
    assert not np.any(silent(draw(4, 3), training=True))


def test_only_training_decides_and_not_trainable():
    frozen = made()
    frozen.trainable = False
    x = draw(4, 2, 2, 3)
    np.testing.assert_array_equal(frozen(x, training=True), made()(x, training=True))
    assert np.all(frozen.moving_mean.numpy() != 0)
    assert frozen.trainable_variables == []


def test_maps_and_rows_agree():
    """Maps use the fused kernel and rows do not; both compute the same function."""
    x, upstream = draw(4, 3, 3, 3), draw(4, 3, 3, 3, seed=1)
    maps, rows = made(), made()
    fused = run(maps, x, upstream)
    plain = run(rows, tf.reshape(x, [-1, 3]), tf.reshape(upstream, [-1, 3]))
    for ours, theirs in zip(fused, plain, strict=True):
        theirs = tf.reshape(theirs, ours.shape)
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=5e-5)
    for ours, theirs in zip(maps.variables, rows.variables, strict=True):
        np.testing.assert_allclose(ours, theirs, **CLOSE)


@pytest.mark.parametrize("shape", [(6, 3), (2, 2, 3, 3)])
def test_gradient_is_that_of_finite_differences(policy, shape):
    policy("float64")
    layer = made()
    x = tf.cast(draw(*shape), tf.float64)
    upstream = tf.cast(draw(*shape, seed=1), tf.float64)

    def loss(x, gamma, beta):
        layer.gamma.assign(gamma)
        layer.beta.assign(beta)
        return tf.reduce_sum(layer(x, training=True) * upstream)

    gamma, beta = tf.identity(layer.gamma), tf.identity(layer.beta)
    ours = run(layer, x, upstream)[1:]
    _, numeric = tf.test.compute_gradient(loss, [x, gamma, beta], delta=1e-5)
    for gradient, want in zip(ours, numeric, strict=True):
        # Central differences of step 1e-5 are exact to about 1e-10 / 1e-5 of rounding.
        np.testing.assert_allclose(
            np.ravel(gradient), np.ravel(want), rtol=1e-6, atol=1e-7
        )


@pytest.mark.parametrize("jit", [False, True])
@pytest.mark.parametrize("shape", [(512, 3), (8, 8, 8, 3)])
def test_keeps_precision_far_from_zero(shape, jit):
    """For such channels, E[x^2] - E[x]^2 would be noise, or negative."""
    layer = BatchNorm(epsilon=1e-12, momentum=0.0, name="norm")
    layer.build(shape)
    x = draw(*shape, mean=1000.0, std=0.01)
    out = tf.function(lambda x: layer(x, training=True), jit_compile=jit)(x)
    exact = x.numpy().astype("float64").reshape(-1, 3)
    std = exact.std(0)
    # A float32 mean near 1000 is known to half a unit in the last place, 2^-15, and
    # summing may lose a few; in units of 0.01 that is the whole error of the output.
    want = (exact - exact.mean(0)) / std
    np.testing.assert_allclose(
        np.reshape(out, (-1, 3)), want, rtol=0, atol=8 * 2.0**-15 / 0.01
    )
    # The mean's error enters the variance squared: (8 * 2^-15 / 0.01)^2 < 1e-3.
    np.testing.assert_allclose(layer.moving_variance, std**2, rtol=1e-3)


def test_one_value_per_channel_has_no_variance():
    layer = made(momentum=0.0)
    out = layer(draw(1, 1, 1, 3), training=True)
    np.testing.assert_allclose(out[0, 0, 0], layer.beta.numpy(), **CLOSE)
    assert not np.any(layer.moving_variance.numpy())


@pytest.mark.parametrize("shape", [(8, 3), (8, 2, 2, 3)])
def test_two_replicas_equal_one(two_replicas, shape):
    # Shards that differ in mean, so that the distance of their means matters.
    x = draw(*shape) + tf.reshape(
        tf.repeat([0.0, 5.0], 4), [8] + [1] * (len(shape) - 1)
    )
    upstream = draw(*shape, seed=1)
    alone = made()
    out, dx, dgamma, dbeta = run(alone, x, upstream)
    with two_replicas.scope():
        layer = made()

    def step(x, upstream):
        return run(layer, x, upstream)

    shards = [
        two_replicas.experimental_distribute_values_from_function(
            lambda context, value=value: tf.split(value, 2)[
                context.replica_id_in_sync_group
            ]
        )
        for value in (x, upstream)
    ]
    found = tf.function(lambda *a: two_replicas.run(step, args=a))(*shards)
    found = [two_replicas.experimental_local_results(value) for value in found]
    np.testing.assert_allclose(tf.concat(found[0], 0), out, **CLOSE)
    np.testing.assert_allclose(tf.concat(found[1], 0), dx, rtol=1e-5, atol=5e-5)
    np.testing.assert_allclose(tf.add_n(found[2]), dgamma, rtol=1e-5, atol=5e-5)
    np.testing.assert_allclose(tf.add_n(found[3]), dbeta, rtol=1e-5, atol=5e-5)
    for ours, theirs in zip(layer.variables, alone.variables, strict=True):
        for value in two_replicas.experimental_local_results(ours.value):
            np.testing.assert_allclose(value, theirs, **CLOSE)


def test_local_statistics_stay_equal_on_replicas(two_replicas):
    x = draw(8, 2, 2, 3)
    with two_replicas.scope():
        layer = made(cross_replica=False, momentum=0.0)
    shards = two_replicas.experimental_distribute_values_from_function(
        lambda context: tf.split(x, 2)[context.replica_id_in_sync_group]
    )
    run = tf.function(
        lambda x: two_replicas.run(lambda x: layer(x, training=True), args=(x,))
    )
    outs = two_replicas.experimental_local_results(run(shards))
    halves = tf.split(x, 2)
    for half, out in zip(halves, outs, strict=True):
        np.testing.assert_allclose(out, made()(half, training=True), **CLOSE)
    means = [tf.reduce_mean(half, [0, 1, 2]) for half in halves]
    variances = [tf.math.reduce_variance(half, [0, 1, 2]) for half in halves]
    for moving, seen in (
        (layer.moving_mean, means),
        (layer.moving_variance, variances),
    ):
        for value in two_replicas.experimental_local_results(moving.value):
            np.testing.assert_allclose(value, (seen[0] + seen[1]) / 2, **CLOSE)


def test_half_precision_keeps_float32_statistics(policy):
    policy("mixed_bfloat16")
    layer = BatchNorm(momentum=0.0, name="norm")
    x = tf.cast(draw(64, 4, 4, 3, mean=3.0), tf.bfloat16)
    out = layer(x, training=True)
    assert out.dtype == tf.bfloat16
    assert {v.dtype for v in layer.variables} == {"float32"}
    exact = tf.cast(x, tf.float64)
    np.testing.assert_allclose(
        layer.moving_variance, tf.math.reduce_variance(exact, [0, 1, 2]), rtol=1e-5
    )


def test_building_symbolically_moves_nothing():
    layer = BatchNorm(name="norm")
    out = layer(keras.KerasTensor((None, 4, 4, 3)), training=True)
    assert out.shape == (None, 4, 4, 3)
    assert not np.any(layer.moving_mean.numpy())


@pytest.mark.parametrize("training", [False, True])
def test_compiled_by_xla_is_the_same(training):
    x = draw(4, 3, 3, 3)
    plain, compiled = made(), made()
    step = tf.function(lambda x: compiled(x, training=training), jit_compile=True)
    np.testing.assert_allclose(step(x), plain(x, training=training), **CLOSE)
    for ours, theirs in zip(compiled.variables, plain.variables, strict=True):
        np.testing.assert_allclose(ours, theirs, **CLOSE)
