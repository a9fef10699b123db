"""A step that is not finite changes nothing, and is named."""

from __future__ import annotations

import functools

import numpy as np
import pytest
import tensorflow as tf

from sslkit.api import Outcome, ViewGroup
from sslkit.data.batches import TrainingBatch
from sslkit.optimize.momentum import Momentum
from sslkit.testing import TinyBackbone, ToyMoCo
from sslkit.testing.devices import strategy
from sslkit.testing.short_run import BATCH, SIZE, Even, Ready, images
from sslkit.training.guard import REFUSED, Bad, Guard
from sslkit.training.state import TrainState
from sslkit.training.step import TrainStep

POISON = -7
"""The label that makes a batch bad."""


class Poisoned(ToyMoCo):
    """Has a bank, twin and statistics; labels can make the loss or a gradient NaN."""

    def call(self, batch, *, step):
        found = super().call(batch, step=step)
        bad = tf.reduce_any(batch.label == POISON)
        loss = found.loss + tf.where(bad, np.nan, 0.0)
        # Zero, with a gradient that is not finite.
        worse = tf.cast(tf.reduce_any(batch.label == POISON - 1), tf.float32)
        edge = tf.reduce_sum(self.projection.variables[0]) * worse
        loss += tf.where(worse > 0, tf.sqrt(edge - edge), 0.0)
        return Outcome(loss, {"bad": tf.cast(bad, tf.float32)})


class Overflowing(Momentum):
    """Makes one weight infinite at the second step."""

    def update(self, weight, gradient, slots, *, path, rate, step):
        new, slots = super().update(
            weight, gradient, slots, path=path, rate=rate, step=step
        )
        if path == "projection/layer_0/dense/kernel":
            new = tf.where(step == 1, np.inf, new)
        return new, slots


class Steps:
    """Steps in float32 on some replicas, in graph mode or compiled."""

    def __init__(self, *, replicas=1, jit=False, optimizer=None, leave_out=None):
        self.place = strategy(replicas)
        self.share = BATCH // replicas
        groups = {"instance": ViewGroup(2, SIZE)}
        optimizer = optimizer or Momentum(nesterov=False)
        self.state = TrainState(
            functools.partial(Poisoned, TinyBackbone),
            optimizer,
            strategy=self.place,
            groups=groups,
            batch_size=self.share,
            seed=1,
        )
        told = None
        if leave_out is not None:
            with self.place.scope():
                told = tf.Variable(leave_out, dtype=tf.int64, trainable=False)
        self.guard = Guard(self.state, told)
        step = TrainStep(
            self.state,
            Ready(groups, "float32"),
            optimizer,
            Even(0.1, "float32"),
            steps=10,
            batch_size=BATCH,
            examples=10 * BATCH,
            seed=0,
            guard=self.guard,
        )
        inner = tf.function(step, jit_compile=True) if jit else step
        self.run = tf.function(lambda batch: self.place.run(inner, args=(batch,)))

    def __call__(self, number, *, label=0):
        labels = np.zeros([BATCH], np.int32)
        labels[-1] = label
        whole = TrainingBatch(
            views={
                name: stack.swapaxes(0, 1)
                for name, stack in images({"instance": 2}, step=number).items()
            },
            label=labels,
            example_seeds=np.zeros([BATCH, 2], np.int32),
            index=np.arange(BATCH, dtype=np.int32),
        )

        def mine(context, value):
            start = context.replica_id_in_sync_group * self.share
            return tf.constant(value[start : start + self.share])

        out = self.run(
            tf.nest.map_structure(
                lambda value: self.place.experimental_distribute_values_from_function(
                    functools.partial(mine, value=value)
                ),
                whole,
            )
        )
        return {
            name: float(self.place.experimental_local_results(value)[0])
            for name, value in out.items()
        }

    def values(self):
        return {name: v.numpy() for name, v in self.state.table.items()}


def same_but_the_step(now, before):
    assert now["step"] == before["step"] + 1
    for name in now.keys() - {"step"}:
        np.testing.assert_array_equal(now[name], before[name], err_msg=name)


# What is compiled, and what is on replicas, is a graph, too.
@pytest.mark.parametrize(
    "how",
    [pytest.param({}, marks=pytest.mark.slow), {"jit": True}, {"replicas": 2}],
)
def test_a_bad_step_changes_nothing_and_the_next_one_does(how):
    steps = Steps(**how)
    assert steps(0)[REFUSED] == 0
    before = steps.values()
    found = steps(1, label=POISON)
    assert np.isnan(found["loss"])
    assert steps.guard.why(found) == Bad("loss", "")
    same_but_the_step(steps.values(), before)
    found = steps(1, label=POISON - 1)
    # The loss is finite; the gradient is not.
    assert np.isfinite(found["loss"])
    assert steps.guard.why(found) == Bad("gradient", "projection/layer_0/dense/kernel")
    assert np.isnan(found["gradient_norm"])
    between = steps.values()
    assert between["step"] == 3
    good = steps(2)
    assert steps.guard.why(good) is None
    after = steps.values()
    moved = [n for n in after if not np.array_equal(after[n], between[n])]
    for name in ("encoder/layer/conv/kernel", "bank/rows", "step"):
        assert name in moved
    assert any(name.startswith("twin/") for name in moved)
    assert any(name.startswith("optimizer/") for name in moved)


def test_an_update_that_is_not_finite_is_refused_and_named():
    steps = Steps(optimizer=Overflowing(nesterov=False))
    steps(0)
    before = steps.values()
    found = steps(1)
    assert np.isfinite([found["loss"], found["gradient_norm"]]).all()
    assert steps.guard.why(found) == Bad("update", "projection/layer_0/dense/kernel")
    same_but_the_step(steps.values(), before)


@pytest.mark.parametrize("replicas", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_step_that_is_to_be_left_out_is(replicas):
    steps = Steps(replicas=replicas, leave_out=[2, 5])
    steps(0)
    before = steps.values()
    found = steps(1)
    assert steps.guard.why(found) == Bad("told", "")
    same_but_the_step(steps.values(), before)
    assert steps.guard.why(steps(2)) is None


@pytest.mark.slow
def test_the_guard_changes_no_bit_of_a_good_step():
    guarded, plain = Steps(), Steps()
    plain.guard = None
    step = TrainStep(
        plain.state,
        Ready({"instance": ViewGroup(2, SIZE)}, "float32"),
        Momentum(nesterov=False),
        Even(0.1, "float32"),
        steps=10,
        batch_size=BATCH,
        examples=10 * BATCH,
        seed=0,
    )
    plain.run = tf.function(lambda batch: plain.place.run(step, args=(batch,)))
    for number in range(2):
        assert {**guarded(number)} == {**plain(number), REFUSED: 0.0}
    for name, value in guarded.values().items():
        np.testing.assert_array_equal(value, plain.values()[name], err_msg=name)
