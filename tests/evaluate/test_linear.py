import dataclasses

import numpy as np
import pytest

from sslkit.errors import UserError
from sslkit.evaluate import linear, softmax_regression
from sslkit.evaluate.linear import RATES, STRENGTHS, linear_probe
from sslkit.evaluate.softmax_regression import Setting, fit_minibatches
from sslkit.evaluation import Features


def features(x, label) -> Features:
    x = np.asarray(x, np.float32)
    return Features(x, np.asarray(label, np.int32), np.arange(len(x), dtype=np.int64))


def clusters(n: int, *, seed: int, classes: int = 4, noise: float = 0.5) -> Features:
    random = np.random.default_rng(seed)
    centre = np.random.default_rng(99).normal(size=[classes, 6])
    label = random.integers(0, classes, n)
    return features(centre[label] + noise * random.normal(size=[n, 6]), label)


@pytest.fixture(params=["lbfgs", "minibatch Adam"])
def solver(request, monkeypatch):
    if request.param != "lbfgs":
        monkeypatch.setattr(linear, "_LBFGS_EXAMPLES", 0)
        # Fewer than in use, which would take a second each time.
        monkeypatch.setattr(softmax_regression, "_UPDATES", 100)
    return request.param


def test_classifies_separable_classes(solver):
    found = linear_probe(
        clusters(200, seed=1, noise=0.1), clusters(100, seed=2, noise=0.1), seed=0
    )
    assert found.accuracy.top1 == 1.0
    assert found.solver == solver
    assert found.strength in STRENGTHS


def test_is_at_chance_on_noise(solver):
    random = np.random.default_rng(0)
    train = features(random.normal(size=[400, 6]), random.integers(0, 4, 400))
    test = features(random.normal(size=[1000, 6]), random.integers(0, 4, 1000))
    # Chance is 0.25; the deviation of a share of 1000 is 0.014.
    assert linear_probe(train, test, seed=0).accuracy.top1 == pytest.approx(
        0.25, abs=0.05
    )


def test_is_a_function_of_its_seed(solver):
    train, test = clusters(200, seed=1), clusters(100, seed=2)
    assert linear_probe(train, test, seed=3) == linear_probe(train, test, seed=3)


def test_units_of_the_features_do_not_matter(solver):
    train, test = clusters(200, seed=1), clusters(100, seed=2)
    # Powers of two scale floats exactly, so standardised features are the same.
    units = np.array([2.0**k for k in range(-3, 3)], np.float32)
    moved = [
        dataclasses.replace(one, features=one.features * units) for one in (train, test)
    ]
    assert linear_probe(*moved, seed=0) == linear_probe(train, test, seed=0)


def test_a_constant_dimension_is_not_an_error():
    train, test = clusters(200, seed=1), clusters(100, seed=2)
    dead = [
        dataclasses.replace(one, features=np.pad(one.features, [(0, 0), (0, 3)]))
        for one in (train, test)
    ]
    expected = linear_probe(train, test, seed=0).accuracy.top1
    assert linear_probe(*dead, seed=0).accuracy.top1 == expected


def test_minibatches_reach_the_minimum_of_the_regularised_loss():
    from sklearn.linear_model import LogisticRegression

    train = clusters(20_000, seed=1)
    x = (train.features - train.features.mean(0)) / train.features.std(0)

    def loss(scores, kernel, strength):
        top = scores.max(1, keepdims=True)
        entropy = np.log(np.exp(scores - top).sum(1)) + top[:, 0]
        entropy -= scores[np.arange(len(x)), train.label]
        return entropy.mean() + 0.5 * strength * np.square(kernel).sum()

    (kernel,), (bias,) = fit_minibatches(
        x, train.label, classes=4, settings=[Setting(0.1, 1e-2)], seed=0
    )
    exact = LogisticRegression(C=1 / (1e-2 * len(x)), tol=1e-8, max_iter=1000)
    exact.fit(x, train.label)
    least = loss(x @ exact.coef_.T + exact.intercept_, exact.coef_, 1e-2)
    # What annealed minibatches leave above the minimum is measured at 1e-5 of it.
    assert least - 1e-6 <= loss(x @ kernel + bias, kernel, 1e-2) <= least * 1.0001


def test_settings_that_are_fitted_at_once_do_not_touch_each_other(monkeypatch):
    monkeypatch.setattr(softmax_regression, "_UPDATES", 100)
    train = clusters(60, seed=1)
    settings = [Setting(0.03, 1e-2), Setting(0.3, 1e-4)]
    together, _ = fit_minibatches(
        train.features, train.label, classes=4, settings=settings, seed=0
    )
    for setting, kernel in zip(settings, together, strict=True):
        (alone,), _ = fit_minibatches(
            train.features, train.label, classes=4, settings=[setting], seed=0
        )
        np.testing.assert_allclose(kernel, alone, rtol=1e-4, atol=1e-5)


def test_minibatches_choose_a_rate_and_lbfgs_does_not(solver):
    found = linear_probe(clusters(60, seed=1), clusters(30, seed=2), seed=0)
    assert (found.rate in RATES) == (found.solver != "lbfgs")
    assert f"L2 {found.strength:g}" in found.chosen
    assert ("rate" in found.chosen) == (found.rate is not None)


def test_two_classes_and_gaps_in_the_numbers(solver):
    train = clusters(100, seed=1, classes=2, noise=0.1)
    test = clusters(50, seed=2, classes=2, noise=0.1)
    gaps = [dataclasses.replace(one, label=one.label * 3 + 2) for one in (train, test)]
    assert linear_probe(*gaps, seed=0).accuracy.top1 == 1.0


def test_a_class_without_training_examples_is_never_right(solver):
    train, test = clusters(100, seed=1), clusters(50, seed=2)
    test = dataclasses.replace(test, label=np.full(50, 9, np.int32))
    assert linear_probe(train, test, seed=0).accuracy.top1 == 0.0


def test_too_few_to_hold_out_uses_the_middle_strength():
    train = features([[0, 1], [1, 0]], [0, 1])
    found = linear_probe(train, train, seed=0)
    assert (found.accuracy.top1, found.strength) == (1.0, 1e-2)


def test_holding_out_leaves_every_class_in_the_fit():
    label = np.repeat([0, 1, 2], [1, 9, 50])
    held = linear._held_out(label, seed=0)
    assert [int(held[label == c].sum()) for c in range(3)] == [0, 1, 10]


def test_unlabelled_data_is_refused():
    with pytest.raises(UserError, match="needs labels"):
        linear_probe(features([[0, 1]], [-1]), features([[0, 1]], [0]), seed=0)


def test_one_class_is_refused():
    one = features([[0, 1], [1, 0]], [3, 3])
    with pytest.raises(UserError, match="all 2 training examples are of one"):
        linear_probe(one, one, seed=0)
