import numpy as np
import pytest

from sslkit.evaluate.alarms import alarms
from sslkit.evaluate.health import (
    alignment,
    cosine_gap,
    effective_rank,
    health,
    spread,
    uniformity,
)


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


def test_alignment_of_known_pairs():
    first = np.array([[1.0, 0.0], [0.0, 2.0], [3.0, 0.0]])
    second = np.array([[5.0, 0.0], [1.0, 0.0], [-1.0, 0.0]])
    # Squared distances 0, 2 and 4 of directions.
    assert alignment(first, second) == pytest.approx(2)
    assert alignment(first, first) == 0


def test_the_gap_between_positive_and_negative_pairs():
    assert cosine_gap(np.eye(3), np.eye(3)) == pytest.approx(1)
    # All alike: positive pairs are no closer than others.
    assert cosine_gap(np.ones([4, 2]), np.ones([4, 2])) == pytest.approx(0)
    first, second = normal(5, 3), normal(10, 3)[5:]
    u, v = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (first, second))
    others = [u[i] @ v[j] for i in range(5) for j in range(5) if i != j]
    own = [u[i] @ v[i] for i in range(5)]
    assert cosine_gap(first, second) == pytest.approx(np.mean(own) - np.mean(others))
    assert cosine_gap(first[:1], second[:1]) == 0


@pytest.mark.parametrize(
    ("found", "name", "words"),
    [
        ({"effective_rank": 1.01}, "effective_rank", "collapsed onto one line"),
        ({"spread": 0.001}, "spread", "all images get nearly the same"),
        ({"bank_filled": 0.0}, "bank_filled", "nothing has been written"),
        ({"bank_sameness": 0.9999}, "bank_sameness", "all its rows are nearly"),
        ({"detected_share": 0.0}, "detected_share", "takes nothing"),
        ({"detected_share": 1.0}, "detected_share", "takes as many as it may"),
    ],
)
def test_alarms_are_in_words(found, name, words):
    raised = alarms(found)
    assert list(raised) == [name]
    assert words in raised[name]


def test_no_alarm_where_all_is_well_or_not_known():
    well = {
        "effective_rank": 3.0,
        "spread": 0.3,
        "bank_filled": 0.1,
        "bank_sameness": 0.5,
        "detected_share": 0.2,
        "alignment": 0.0,
    }
    assert alarms(well) == {}
    assert alarms({"spread": None, "effective_rank": float("nan")}) == {}
