"""The published cipher, uniform numbers, and what a layer's numbers depend on."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from sslkit import randomness
from sslkit.randomness import uniform, view_seed

# The known answers that the authors publish with Random123 (threefry2x32, 20 rounds).
KNOWN_ANSWERS = [
    ((0, 0), (0, 0), (0x6B200159, 0x99BA4EFE)),
    (
        (0xFFFFFFFF, 0xFFFFFFFF),
        (0xFFFFFFFF, 0xFFFFFFFF),
        (0x1CB996FC, 0xBB002BE7),
    ),
    (
        (0x13198A2E, 0x03707344),
        (0x243F6A88, 0x85A308D3),
        (0xC4923A9C, 0x483DF7A0),
    ),
]


def seeds(count: int) -> tf.Tensor:
    return tf.constant(
        np.random.default_rng(0).integers(-(2**31), 2**31, (count, 2)), tf.int32
    )


@pytest.mark.parametrize(("key", "counter", "words"), KNOWN_ANSWERS)
@pytest.mark.parametrize("jit", [None, False, True])
def test_threefry_gives_the_published_words(key, counter, words, jit):
    cipher = randomness.threefry2x32
    if jit is not None:
        cipher = tf.function(cipher, jit_compile=jit)
    out = cipher(tf.constant(key, tf.uint32), tf.constant(counter, tf.uint32))
    assert tuple(out.numpy()) == words


@pytest.mark.parametrize("count", [1, 2, 5, 10])
def test_uniform_is_the_same_compiled_or_not(count):
    eager = randomness.uniform(seeds(7), count)
    graph = tf.function(randomness.uniform)(seeds(7), count)
    compiled = tf.function(randomness.uniform, jit_compile=True)(seeds(7), count)
    assert eager.shape == (7, count)
    np.testing.assert_array_equal(eager, graph)
    np.testing.assert_array_equal(eager, compiled)


def test_uniform_depends_on_the_row_alone():
    rows = seeds(9)
    whole = randomness.uniform(rows, 6).numpy()
    order = np.random.default_rng(1).permutation(9)
    np.testing.assert_array_equal(
        randomness.uniform(tf.gather(rows, order), 6), whole[order]
    )
    np.testing.assert_array_equal(randomness.uniform(rows[4:5], 6)[0], whole[4])
    np.testing.assert_array_equal(randomness.uniform(rows, 3), whole[:, :3])


def test_uniform_numbers_are_uniform():
    # Neighbouring seeds, as from steps and examples.
    rows = tf.stack([tf.range(20000), tf.zeros(20000, tf.int32)], axis=1)
    numbers = randomness.uniform(rows, 2).numpy()
    assert numbers.min() >= 0
    assert numbers.max() < 1
    # Standard errors of 20000 draws: mean 0.002, correlation 0.007, a bin of ten 42.
    np.testing.assert_allclose(numbers.mean(0), 0.5, atol=0.01)
    np.testing.assert_allclose(numbers.var(0), 1 / 12, atol=0.004)
    assert abs(np.corrcoef(numbers.T)[0, 1]) < 0.03
    assert abs(np.corrcoef(numbers[1:, 0], numbers[:-1, 0])[0, 1]) < 0.03
    counts, _ = np.histogram(numbers[:, 0], bins=10, range=(0, 1))
    np.testing.assert_allclose(counts, 2000, atol=200)


STEP = (5, 6)


def drawn(*, step=STEP, examples=3, keys=("a",), rows=6, count=4):
    with randomness.drawing(step, seeds(examples)):
        return [randomness.draw(key, rows=rows, count=count).numpy() for key in keys]


def test_a_layer_draws_by_step_example_view_name_and_call():
    first, again, other = drawn(keys=["a", "a", "b"])
    assert first.shape == (6, 4)
    for found in (again, other, *drawn(step=(5, 7))):
        assert not np.any(found == first)
    # All rows differ: three examples, two views of each.
    assert len(np.unique(first)) == 24
    np.testing.assert_array_equal(drawn()[0], first)


def test_rows_are_view_major_and_know_their_example():
    whole = drawn()[0].reshape(2, 3, 4)
    part = drawn(examples=2, rows=4)[0].reshape(2, 2, 4)
    np.testing.assert_array_equal(part, whole[:, :2])
    more = drawn(rows=9)[0].reshape(3, 3, 4)
    np.testing.assert_array_equal(more[:2], whole)


def test_the_numbers_of_a_layer_are_uniform():
    numbers = drawn(examples=50, keys=["a", "b"], rows=200, count=101)
    joined = np.stack(numbers).reshape(2, -1)
    # Standard errors of 20200 draws: mean 0.002, correlation 0.007.
    np.testing.assert_allclose(joined.mean(1), 0.5, atol=0.01)
    assert abs(np.corrcoef(joined)[0, 1]) < 0.03


def test_nothing_is_drawn_outside_a_step():
    drawn()
    assert randomness.draw("a", rows=6, count=4) is None


def test_rows_must_be_views_of_the_examples():
    with pytest.raises(ValueError, match=r"a draws for 7 rows, .* the 3 examples"):
        drawn(rows=7)


def test_view_seeds_differ():
    both = view_seed(tf.constant([[[3, 4]], [[4, 4]]]), tf.range(100))
    assert both.shape == (2, 100, 2)
    found = {tuple(seed) for seed in both.numpy().reshape(-1, 2)}
    assert len(found) == 200
    np.testing.assert_array_equal(view_seed(tf.constant([4, 4]), 7), both[1, 7])
    # They are also not the words of the example's own numbers.
    plain = uniform(tf.constant([[3, 4]]), 20).numpy()
    derived = tf.bitcast(both[0, :10], tf.uint32).numpy() / 2**32
    assert not np.any(np.isclose(plain.reshape(-1, 2), derived, atol=1e-6))
