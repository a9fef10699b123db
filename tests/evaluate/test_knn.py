import dataclasses

import numpy as np
import pytest

from sslkit.errors import UserError
from sslkit.evaluate import knn
from sslkit.evaluate.knn import knn_accuracy, knn_protocol
from sslkit.evaluation import Features


def features(x, label) -> Features:
    x = np.asarray(x, np.float32)
    return Features(x, np.asarray(label, np.int32), np.arange(len(x), dtype=np.int64))


def random_features(n: int, *, seed: int, classes: int = 7) -> Features:
    random = np.random.default_rng(seed)
    label = random.integers(0, classes, n)
    centre = np.random.default_rng(99).normal(size=[classes, 5])
    return features(centre[label] + random.normal(size=[n, 5]), label)


def plain_loop(bank: Features, queries: Features, k: int, temperature: float):
    """Wu et al. 2018, section 3.4, one query and one neighbour at a time."""
    unit = bank.features / np.linalg.norm(bank.features, axis=1, keepdims=True)
    top1 = top5 = 0
    for query, label in zip(queries.features, queries.label, strict=True):
        cosine = unit @ (query / np.linalg.norm(query))
        votes: dict[int, float] = {}
        for row in sorted(range(len(cosine)), key=lambda r: -cosine[r])[:k]:
            weight = np.exp(cosine[row] / temperature)
            votes[bank.label[row]] = votes.get(bank.label[row], 0) + weight
        ranked = sorted(votes, key=lambda c: (-votes[c], c))
        top1 += label in ranked[:1]
        top5 += label in ranked[:5]
    return top1 / len(queries.label), top5 / len(queries.label)


@pytest.mark.parametrize("k", [1, 5, 60])
@pytest.mark.parametrize("block", [1, 1000, 2**25])
def test_equals_a_plain_loop_whatever_the_block(monkeypatch, k, block):
    monkeypatch.setattr(knn, "_BLOCK_ELEMENTS", block)
    bank, queries = random_features(60, seed=1), random_features(37, seed=2)
    found = knn_accuracy(bank, queries, neighbours=k, temperature=0.07)
    assert found == pytest.approx(plain_loop(bank, queries, k, 0.07))
    assert 0.3 < found.top1 < 1


def test_length_of_features_does_not_matter():
    bank, queries = random_features(60, seed=1), random_features(37, seed=2)
    # Powers of two scale floats exactly, so ties and sums stay the same.
    stretched = dataclasses.replace(
        bank, features=bank.features * np.array([[0.25], [8.0]] * 30, np.float32)
    )
    settings = {"neighbours": 5, "temperature": 0.07}
    assert knn_accuracy(stretched, queries, **settings) == knn_accuracy(
        bank, queries, **settings
    )


def test_near_neighbours_outvote_far_ones_only_at_a_low_temperature():
    bank = features([[1, 0], [1, 1], [1, 1]], [0, 1, 1])
    query = features([[1, 0.1]], [0])
    near = knn_accuracy(bank, query, neighbours=3, temperature=0.07)
    flat = knn_accuracy(bank, query, neighbours=3, temperature=10.0)
    assert (near.top1, flat.top1) == (1.0, 0.0)


def test_a_tiny_temperature_does_not_overflow():
    bank, queries = random_features(60, seed=1), random_features(37, seed=2)
    tiny = knn_accuracy(bank, queries, neighbours=5, temperature=1e-6)
    one = knn_accuracy(bank, queries, neighbours=1, temperature=0.07)
    assert tiny.top1 == one.top1


def test_ties_go_to_the_earlier_row_then_the_lower_class():
    bank = features([[1, 0]] * 4, [2, 1, 0, 1])
    query = features([[1, 0]], [2])
    assert knn_accuracy(bank, query, neighbours=1, temperature=0.07).top1 == 1
    assert knn_accuracy(bank, query, neighbours=2, temperature=0.07).top1 == 0


def test_a_collapsed_encoder_scores_the_share_of_one_class():
    bank = features(np.ones([100, 4]), np.arange(100) % 10)
    queries = features(np.ones([50, 4]), np.arange(50) % 10)
    assert knn_accuracy(bank, queries, neighbours=10, temperature=0.07).top1 == 0.1


def test_zero_features_are_not_an_error():
    bank = features(np.zeros([4, 2]), [0, 1, 0, 1])
    assert knn_accuracy(bank, bank, neighbours=1, temperature=0.07).top1 == 0.5


def test_more_neighbours_than_the_bank_are_clipped_and_said():
    bank, queries = random_features(12, seed=1), random_features(5, seed=2)
    assert knn_accuracy(
        bank, queries, neighbours=200, temperature=0.07
    ) == knn_accuracy(bank, queries, neighbours=12, temperature=0.07)
    said = knn_protocol(neighbours=200, temperature=0.07, bank_size=12)
    assert said == "kNN (k=12, clipped from 200, T=0.07)"
    full = knn_protocol(neighbours=12, temperature=0.07, bank_size=12)
    assert full == "kNN (k=12, T=0.07)"


def test_unlabelled_data_is_refused():
    bank = features(np.ones([3, 2]), [0, -1, -1])
    with pytest.raises(UserError, match="2 of 3 training examples have none"):
        knn_accuracy(bank, bank, neighbours=1, temperature=0.07)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"neighbours": 0, "temperature": 0.07}, "0 neighbours"),
        ({"neighbours": 5, "temperature": 0.0}, "must be above 0"),
    ],
)
def test_impossible_settings_are_refused(settings, message):
    bank = features(np.ones([3, 2]), [0, 1, 1])
    with pytest.raises(UserError, match=message):
        knn_accuracy(bank, bank, **settings)
