from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from sslkit.checkpoints import Checkpoints, step_of
from sslkit.evaluate.following import follow


@pytest.fixture
def save(tmp_path):
    """Saves a checkpoint as the training process does, which keeps the last two."""
    checkpoints = Checkpoints(str(tmp_path), keep=2)
    table = {"weight": tf.Variable(np.zeros(1, np.float32))}
    return checkpoints, lambda step: checkpoints.save(table, step=step)


def test_yields_each_checkpoint_in_order_and_ends_with_the_last_step(save):
    checkpoints, trained = save
    later = iter([10, 20, 30])
    waited = []

    def wait():
        step = next(later)
        waited.append(step)
        trained(step)

    found = follow(checkpoints, last=30, done=lambda step: False, wait=wait)
    assert [step_of(prefix) for prefix in found] == [10, 20, 30] == waited


def test_a_checkpoint_that_is_measured_already_is_skipped(save):
    checkpoints, trained = save
    trained(10), trained(20)
    found = follow(checkpoints, last=20, done=lambda step: step == 10, wait=pytest.fail)
    assert [step_of(prefix) for prefix in found] == [20]


def test_goes_on_when_training_has_removed_the_next_checkpoint(save):
    checkpoints, trained = save
    trained(10), trained(20)
    found = follow(checkpoints, last=40, done=lambda step: False, wait=pytest.fail)
    assert step_of(next(found)) == 10
    trained(30), trained(40)
    assert [step_of(prefix) for prefix in found] == [30, 40]
