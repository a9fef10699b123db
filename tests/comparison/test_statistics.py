"""Statistics of a few runs, against SciPy and numbers computed by hand."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import stats

from sslkit.comparison.statistics import difference, mean_of


def seeds(values):
    return {str(seed): value for seed, value in enumerate(values)}


HERE = [0.81, 0.84, 0.79, 0.86, 0.83, 0.85, 0.82, 0.80]
THERE = [0.78, 0.82, 0.80, 0.81, 0.80, 0.83, 0.79, 0.79]


def test_mean_and_spread():
    assert mean_of([1.0, 2.0, 6.0]) == (found := mean_of([6.0, 1.0, 2.0]))
    assert found.mean == 3
    assert found.spread == pytest.approx(7**0.5)
    assert mean_of([4.0]).spread is None


@pytest.mark.parametrize("count", [3, 8])
def test_pairs_by_students_t_and_all_signs(count):
    here, there = HERE[:count], THERE[:count]
    found = difference(seeds(here), seeds(there))
    test = stats.ttest_rel(here, there)
    assert found.interval == pytest.approx(test.confidence_interval(0.95))
    gaps = np.subtract(here, there)
    patterns = list(itertools.product([1, -1], repeat=count))
    as_far = [abs(np.dot(signs, gaps)) >= abs(gaps.sum()) - 1e-9 for signs in patterns]
    assert found.p == pytest.approx(np.mean(as_far))
    assert (found.n, found.paired) == (count, True)


def test_for_many_pairs_the_drawn_signs_are_always_the_same():
    here = np.linspace(0.5, 0.9, 20)
    there = here - np.where(np.arange(20) % 4, 0.01, -0.005)
    found = difference(seeds(here), seeds(there))
    assert found == difference(seeds(here), seeds(there))
    exact = stats.wilcoxon(here, there).pvalue
    assert found.p < 0.01 and exact < 0.01
    assert found.verdict == "higher"


def test_only_runs_of_one_seed_are_pairs():
    found = difference({"0": 0.8, "1": 0.9, "7": 0.1}, {"0": 0.7, "1": 0.8, "9": 0.9})
    assert found.n == 2
    assert found.mean == pytest.approx(0.1)


def test_without_pairs_two_sets_are_compared_by_welch():
    found = difference({"0": 0.8, "1": 0.9, "2": 0.7}, {"5": 0.5, "6": 0.45})
    test = stats.ttest_ind([0.8, 0.9, 0.7], [0.5, 0.45], equal_var=False)
    assert found.interval == pytest.approx(test.confidence_interval(0.95))
    assert (found.n, found.paired, found.p) == (2, False, None)


@pytest.mark.parametrize(
    ("here", "there", "verdict"),
    [
        (HERE, THERE, "higher"),
        (THERE, HERE, "lower"),
        (HERE, HERE, "cannot tell"),
        # Three pairs may agree, and are too few for more than a perhaps.
        ([0.8, 0.81, 0.82], [0.7, 0.71, 0.7201], "perhaps higher"),
        ([0.8, 0.9], [0.7, 0.95], "cannot tell"),
        ([0.8], [0.7], "cannot tell"),
    ],
)
def test_a_verdict_says_no_more_than_the_runs_show(here, there, verdict):
    assert difference(seeds(here), seeds(there)).verdict == verdict


def test_one_run_has_a_difference_and_no_interval():
    found = difference({"0": 0.8}, {"0": 0.7})
    assert found.mean == pytest.approx(0.1)
    assert found.interval is None and found.p is None
    assert difference({}, {"0": 1.0}) is None


@pytest.mark.parametrize(("count", "verdict"), [(2, "cannot tell"), (6, "higher")])
def test_without_a_spread_there_is_no_interval(count, verdict):
    # Rounding makes these differences differ in their last bits.
    there = [place / 360 for place in range(330, 330 + count)]
    here = [value + 6 / 360 for value in there]
    found = difference(seeds(here), seeds(there))
    assert found.mean == pytest.approx(6 / 360)
    assert (found.interval, found.verdict) == (None, verdict)
    assert found.p == pytest.approx(2 / 2**count)
    unpaired = difference({"0": 0.3, "1": 0.3}, {"2": 0.1, "3": 0.1})
    assert (unpaired.interval, unpaired.verdict) == (None, "cannot tell")
