"""A threshold for every example, against a loop over examples."""

from __future__ import annotations

import importlib.util
import pathlib

import numpy as np
import pytest
import tensorflow as tf

from sslkit.errors import UserError
from sslkit_fnc.course import Moment
from sslkit_fnc.glofnd import LearnedThreshold

_spec = importlib.util.spec_from_file_location(
    "fnc_tiny", pathlib.Path(__file__).with_name("tiny.py")
)
tiny = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(tiny)

EXAMPLES, CANDIDATES = 5000, 40


class Fixed:
    """Given scores, of candidates that all show other images."""

    others = others_written = columns = CANDIDATES
    block = None

    def __init__(self, of):
        self._of = tf.constant(of, tf.float32)

    def of(self, columns):
        return tf.gather(self._of, columns, axis=1)

    def best(self, count):
        return tf.math.top_k(self._of, count)

    def computed(self, of):
        from sslkit.objectives import Computed

        return Computed(of, batch=self._of.shape[0], columns=CANDIDATES)


class Loop:
    """The published update of one threshold, visit by visit."""

    def __init__(self):
        self.mean = self.square = self.visits = 0.0

    def visit(self, scores):
        """Returns the threshold after a visit."""
        if not self.visits:
            self.threshold = sorted(scores, reverse=True)[4]  # 10% of 40 above it
        else:
            slope = 0.1 - np.mean([score > self.threshold for score in scores])
            self.mean = 0.9 * self.mean + 0.1 * slope
            self.square = 0.98 * self.square + 0.02 * slope**2
            mean = self.mean / (1 - 0.9**self.visits)
            square = self.square / (1 - 0.98**self.visits)
            moved = self.threshold - 0.05 * mean / (np.sqrt(square) + 1e-8)
            self.threshold = float(np.clip(moved, -1, 1))
        self.visits += 1
        return self.threshold


def policy():
    made = LearnedThreshold(quantile=0.9, rate=0.05)
    made.build(EXAMPLES)
    return made


def moment(index, begun=None):
    return Moment(
        begun=None if begun is None else tf.constant(begun),
        indices=tf.constant(index, tf.int32),
        examples=EXAMPLES,
    )


def test_equals_a_loop_over_examples():
    draw, made, loops = np.random.default_rng(0), policy(), {}
    # Indices with more digits than half of float32's.
    for index in ([4999, 3, 4097], [3, 7, 4999], [7, 4999, 4097], [3, 4097, 7]):
        scores = draw.uniform(-1, 1, [3, CANDIDATES]).astype(np.float32)
        selected = made.select(Fixed(scores), moment(index))
        mask = selected.mask(tf.range(CANDIDATES)).numpy()
        for row, example in enumerate(index):
            threshold = loops.setdefault(example, Loop()).visit(scores[row])
            now = made.table["threshold"].numpy()[example]
            np.testing.assert_allclose(now, threshold, rtol=0, atol=1e-6)
            np.testing.assert_array_equal(mask[row], scores[row] > now)
    touched = np.flatnonzero(made.table["visits"].numpy())
    assert sorted(touched) == sorted(loops)


def test_settles_at_the_quantile_of_all_scores():
    draw, made = np.random.default_rng(1), policy()
    for _ in range(400):
        scores = np.clip(draw.normal(0.1, 0.3, [1, CANDIDATES]), -1, 1)
        made.select(Fixed(scores), moment([2]))
    wanted = 0.1 + 0.3 * 1.2816  # the normal's 0.9 quantile
    # Adam's steps around the final value are 0.05 at most.
    assert abs(made.table["threshold"].numpy()[2] - wanted) < 0.1


def test_an_image_that_is_in_a_batch_twice_takes_the_mean_of_both_steps():
    draw, made = np.random.default_rng(2), policy()
    scores = draw.uniform(-1, 1, [2, CANDIDATES]).astype(np.float32)
    made.select(Fixed(scores), moment([5, 5]))
    each = [Loop().visit(row) for row in scores]
    found = {name: variable.numpy()[5] for name, variable in made.table.items()}
    np.testing.assert_allclose(found["threshold"], np.mean(each), rtol=1e-6)
    assert found["visits"] == 1


def test_learns_nothing_before_the_start():
    draw, made = np.random.default_rng(3), policy()
    scores = Fixed(draw.uniform(-1, 1, [2, CANDIDATES]))
    made.select(scores, moment([0, 1], begun=False))
    assert not any(np.any(variable.numpy()) for variable in made.table.values())
    made.select(scores, moment([0, 1], begun=True))
    np.testing.assert_array_equal(made.table["visits"].numpy()[:3], [1, 1, 0])


def test_cancels_about_its_share_in_the_objective():
    objective = tiny.build(
        steps=10, examples=50, detection="glofnd", quantile=0.75, bank=0
    )
    paths = {variable.path.split("/", 1)[1] for variable in objective.variables}
    assert {"detection/threshold", "detection/visits"} <= paths
    seen = tiny.batch(objective, 0, index=[49, 0, 3, 8, 20, 11])
    outcome = objective(seen, step=tf.constant(0, tf.int64))
    # A quarter of the 20 candidates that show other images.
    np.testing.assert_allclose(outcome.metrics["false_negatives"], 5)


def test_refuses_batches_without_indices():
    with pytest.raises(UserError, match="'glofnd', which keeps a threshold for every"):
        tiny.build(detection="glofnd", quantile=0.75)
    with pytest.raises(UserError, match=r"leaves none of the 20 candidates .* start"):
        tiny.build(detection="glofnd", quantile=0.99, bank=0, examples=50)
