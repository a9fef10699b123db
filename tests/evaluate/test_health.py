import numpy as np
import pytest

from sslkit.evaluate.health import effective_rank, health, spread, uniformity


def normal(n: int, dim: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=[n, dim])


def test_effective_rank_counts_equal_directions():
    basis = np.linalg.qr(normal(16, 16))[0][:, :5]
    assert effective_rank(basis @ np.eye(5, 12)) == pytest.approx(5)


def test_effective_rank_of_one_line_is_one():
    assert effective_rank(np.outer(np.arange(1, 9), normal(1, 4))) == pytest.approx(1)
    assert effective_rank(np.zeros([4, 4])) == 1


def test_effective_rank_of_two_unequal_directions():
    # Shares 3/4 and 1/4 of the singular values: exp of their entropy.
    expected = np.exp(-(0.75 * np.log(0.75) + 0.25 * np.log(0.25)))
    assert effective_rank(np.diag([3.0, 1.0])) == pytest.approx(expected)


def test_spread_is_one_on_the_sphere_and_zero_at_a_point():
    # 2000 draws: the deviation of each dimension is known to about 2%, their mean to
    # much less.
    assert spread(normal(2000, 64)) == pytest.approx(1, abs=0.01)
    assert spread(np.ones([10, 4])) == pytest.approx(0, abs=1e-12)


def test_uniformity_of_known_pairs():
    assert uniformity(np.ones([5, 3])) == pytest.approx(0)
    # Squared distance 2 and 4: exp(-4) and exp(-8).
    assert uniformity(np.eye(2)) == pytest.approx(-4)
    assert uniformity(np.array([[1.0, 0.0], [-2.0, 0.0]])) == pytest.approx(-8)
    assert uniformity(np.ones([1, 3])) == 0


def test_uniformity_equals_a_plain_loop():
    x = normal(7, 3)
    u = x / np.linalg.norm(x, axis=1, keepdims=True)
    pairs = [
        np.exp(-2 * np.sum((u[i] - u[j]) ** 2))
        for i in range(7)
        for j in range(7)
        if i != j
    ]
    assert uniformity(x) == pytest.approx(np.log(np.mean(pairs)))


def test_health_samples_evenly_over_a_sorted_split():
    # Two halves in two directions: a sample of the first rows would see one.
    x = np.repeat(np.eye(2, dtype=np.float32), 5000, axis=0)
    found = health(x)
    assert (found.examples, found.dim) == (4096, 2)
    assert found.effective_rank == pytest.approx(2)
    assert health(x[:10]).examples == 10
