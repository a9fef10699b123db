"""Measures of a run without labels, and their alarms."""

from __future__ import annotations

import functools
import types

import numpy as np
import pytest
import tensorflow as tf

from sslkit.api import ViewGroup
from sslkit.evaluate import health as measures
from sslkit.nn import MemoryBank, MomentumTwin
from sslkit.testing import TinyBackbone, ToyMoCo
from sslkit.testing.toy import NoisyViews, Pictures
from sslkit.training.actions import Moment
from sslkit.training.guard import REFUSED
from sslkit.training.health import Health

GOOD = {"loss": 1.0, "learning_rate": 0.1, REFUSED: 0.0}


class Told(ToyMoCo):
    """An objective with measures of its own."""

    def health(self, *, step, metrics):
        return {"steps": step, "seen": metrics["loss"], **self.told}


@pytest.fixture
def looking(built):
    """Makes the action, its printed lines, and the encoder that it measures."""

    def make(told=None, *, waited=None, size=40, share=16, counts=2):
        Told.told = told or {}
        state = built(
            lambda colour: Told(TinyBackbone), groups={"instance": ViewGroup(2, 8)}
        )
        said = []
        action = Health(
            state.objective,
            Pictures(size),
            NoisyViews({"instance": counts}),
            every=10,
            share=share,
            seed=0,
            machine=types.SimpleNamespace(waited_share=waited),
            say=said.append,
        )
        return action, said, state.objective.encoder

    return make


def look(action, step=10, **values):
    moment = Moment(step)
    action.see(step, {**GOOD, **values})
    action.run(moment)
    return moment.metrics


def test_measures_the_encoder_and_asks_the_objective(looking):
    action, said, encoder = looking({"bank_age": 2.0})
    found = look(action)
    assert said == []
    assert {
        name: found[f"health/{name}"] for name in ("steps", "seen", "bank_age")
    } == {
        "steps": 10.0,
        "seen": 1.0,
        "bank_age": 2.0,
    }
    # 40 images in shares of 16: two shares.
    batches = [b.views["instance"].numpy() for b in action._batches]
    assert [b.shape for b in batches] == [(16, 2, 8, 8, 3)] * 2
    pixels = np.concatenate(batches).astype(np.float32) / 255
    first, second = (
        encoder(tf.constant(pixels[:, view]), training=False).numpy() for view in (0, 1)
    )
    for name, value in {
        "effective_rank": measures.effective_rank(first),
        "spread": measures.spread(first),
        "uniformity": measures.uniformity(first),
        "alignment": measures.alignment(first, second),
        "cosine_gap": measures.cosine_gap(first, second),
    }.items():
        assert found[f"health/{name}"] == pytest.approx(value, rel=1e-4, abs=1e-6), name
    # The same images again, and nothing between two measurements.
    assert look(action, 20) == {**found, "health/steps": 20.0}
    assert look(action, 23) == {}


def test_alarms_are_printed_when_they_begin(looking):
    action, said, encoder = looking({"bank_filled": 0.0}, waited=0.5)
    for weight in encoder.weights:
        weight.assign(tf.zeros_like(weight))
    look(action, learning_rate=0.0)
    assert said == [
        "health: step 10: the features have collapsed onto one line",
        "health: step 10: the features have collapsed: all images get nearly the same",
        "health: step 10: the memory bank is dead: nothing has been written to it",
        "health: step 10: the learning rate was 0 in the last 10 steps",
        "health: step 10: the input pipeline is too slow: the device waits for batches "
        "in 50% of the time; `sslkit bench input` shows which part limits it",
    ]
    look(action, 20, learning_rate=0.0)
    assert len(said) == 5
    Told.told = {"bank_filled": 0.5}
    look(action, 30)
    Told.told = {"bank_filled": 0.0}
    look(action, 40, learning_rate=0.0)
    assert [line.partition(": the ")[0] for line in said[5:]] == ["health: step 40"] * 2


def test_a_rate_that_was_not_always_zero_raises_no_alarm(looking):
    action, said, _ = looking()
    action.see(9, GOOD)
    look(action, learning_rate=0.0)
    assert said == []


def test_a_refused_step_raises_no_alarm(looking):
    action, _, _ = looking()
    action.see(9, GOOD)
    found = look(action, loss=float("nan"), **{REFUSED: 1.0})
    assert found["health/seen"] == 1.0


def test_a_single_view_is_not_compared(looking):
    action, _, _ = looking(counts=1, size=20, share=64)
    found = look(action)
    assert "health/alignment" not in found
    assert found["health/effective_rank"] > 1
    # Fewer images than a share: some are used twice, in another epoch.
    assert [len(batch.label) for batch in action._batches] == [64]


def test_features_that_are_not_finite_are_reported_in_the_metrics(looking):
    action, _, encoder = looking()
    encoder.weights[0].assign(tf.fill(encoder.weights[0].shape, np.nan))
    found = look(action)
    assert np.isnan(found["health/effective_rank"])
    assert "health/spread" not in found


def bank(**options):
    made = MemoryBank(batches=4, views=2, name="bank", **options)
    rows = tf.constant(np.eye(6, 3), tf.float32) + 0.1
    return made, functools.partial(made, rows)


@pytest.mark.parametrize("options", [{}, {"lazy": True}, {"start": "random"}])
def test_a_bank_knows_how_old_and_how_full_it_is(options):
    made, write = bank(**options)
    made.build((6, 3))
    empty = made.health(step=0)
    assert (empty["bank_filled"], empty["bank_age"]) == (0.0, 0.0)
    write()
    # Two views of four batches: two steps fill it.
    half = made.health(step=1)
    assert (half["bank_filled"], half["bank_age"]) == (0.5, 1.0)
    write()
    write()
    full = made.health(step=3)
    assert (full["bank_filled"], full["bank_age"]) == (1.0, 2.0)
    rows = np.eye(6, 3) + 0.1
    units = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    wanted = np.linalg.norm(units.mean(axis=0))
    assert full["bank_sameness"] == pytest.approx(wanted, rel=1e-6)


def test_a_twin_knows_how_far_it_is():
    online, shadow = TinyBackbone(name="encoder"), TinyBackbone(name="encoder")
    twin = MomentumTwin([shadow], name="twin")
    images = tf.zeros([2, 8, 8, 3])
    online(images, training=False)
    twin(images, training=False)
    twin.copy([online])
    assert twin.distance([online]) == 0
    for weight in online.trainable_variables:
        weight.assign(2 * weight)
    assert twin.distance([online]) == pytest.approx(0.5, rel=1e-6)
