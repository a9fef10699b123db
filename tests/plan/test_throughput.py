"""The time of the parts of a step."""

from __future__ import annotations

import functools

import numpy as np
import pytest
import tensorflow as tf

from sslkit.data import data
from sslkit.objectives.supervised import Supervised
from sslkit.optimize.momentum import Momentum
from sslkit.optimize.schedules import Constant
from sslkit.plan import throughput
from sslkit.runners.single import Single
from sslkit.testing import TinyBackbone
from sslkit.training.run import Training
from sslkit.views import CropFlip


class Eager(Single):
    """Does not trace, which would take longer than the tested code."""

    def compile(self, step, metrics):
        def advance(batches, inner):
            rows = [step(next(batches)) for _ in range(int(inner))]
            return tf.stack([[row[name] for name in metrics] for row in rows])

        return advance


def training(**options):
    return Training(
        **{
            "objective": functools.partial(Supervised, TinyBackbone, classes=10),
            "augmentation": CropFlip(size=8, count=1),
            "data": data(name="digits"),
            "optimizer": Momentum(),
            "schedule": Constant(base=0.1),
            "runner": Eager(device="CPU:0"),
            "batch_size": 4,
            "steps": 50,
            **options,
        }
    )


@pytest.mark.slow
def test_each_part_of_a_step_is_measured():
    said = []
    # A run of one step is begun again and again.
    found = throughput.shares(training(steps=1), seconds=0.01, say=said.append)
    assert list(found.parts) == ["views", "forward", "backward", "update"]
    assert len(said) == 5
    assert all(seconds >= 0 for seconds in found.parts.values())
    assert found.step > 0
    assert found.run > 0
    assert found.views == 4


def test_waiting_is_what_a_run_takes_beyond_its_parts():
    parts = {"views": 1.0, "forward": 2.0, "backward": 3.0, "update": 4.0}
    assert throughput.Shares(parts=parts, run=12.5, views=1).waiting == 2.5
    # Measured one after another, a run may come out faster.
    assert throughput.Shares(parts=parts, run=9.0, views=1).waiting == 0.0


def test_a_step_ends_after_the_given_part():
    """And moves nothing that comes after."""
    made = training()
    step = made.train_step()
    batch = next(iter(made.batches(0, tf.distribute.InputContext())))
    table = made.state.table

    def moved(until):
        before = {name: variable.numpy() for name, variable in table.items()}
        with made.runner.strategy.scope():
            values = step.through(until, batch)
        assert np.isfinite(float(values["loss"]))
        return {n for n in table if not np.array_equal(table[n].numpy(), before[n])}

    weights = set(made.state.trainable)
    assert moved("views") == set()
    assert not moved("forward") & weights
    assert not moved("backward") & weights
    assert {"step", *weights} <= moved("update")
