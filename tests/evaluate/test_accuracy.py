import numpy as np
import pytest

from sslkit.evaluation import accuracy


def test_counts_first_and_first_five():
    scores = np.array([[7, 6, 5, 4, 3, 2, 1]] * 3, np.float32)
    found = accuracy(scores, np.array([0, 4, 5]))
    assert found == (pytest.approx(1 / 3), pytest.approx(2 / 3))


def test_constant_scores_get_the_share_of_one_class():
    label = np.arange(10)
    found = accuracy(np.zeros([10, 10], np.float32), label)
    assert found == (0.1, 0.5)


def test_a_class_that_is_not_predicted_is_never_right():
    scores = np.array([[0.0, -np.inf, -np.inf]])
    assert accuracy(scores, np.array([1])) == (0.0, 0.0)


def test_nan_is_refused_and_not_right():
    with pytest.raises(ValueError, match="NaN"):
        accuracy(np.array([[np.nan, 0.0]]), np.array([0]))
