"""One update: what is averaged, what changes, and in which order."""

from __future__ import annotations

import functools

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.autograph.core import ag_ctx

from sslkit.api import Augmentation, Outcome, Schedule, UserError, ViewGroup
from sslkit.data.batches import TrainingBatch
from sslkit.optimize.momentum import Momentum
from sslkit.testing.devices import strategy
from sslkit.training.step import TrainStep

BATCH = 8
PIXELS = np.random.default_rng(0).integers(0, 256, [BATCH, 1, 4, 4, 3])
# The gradient of the mean feature: the mean colour of the global batch, over three.
GRADIENT = PIXELS.mean((0, 1, 2, 3)) / 255 / 3


class Rising(Schedule):
    """0.1 at the first step, 0.2 at the second, ...; it records its arguments."""

    def rate(self, step, **run):
        self.told = run
        return 0.1 * (1 + tf.cast(step, tf.float32))


class Plain(Augmentation):
    """Converts to [0, 1]."""

    groups = {"instance": ViewGroup(1, 4)}  # noqa: RUF012

    def example(self, image, seed):
        raise AssertionError("never called: no images are read")


class Stepper:
    """Makes updates of a state on some replicas."""

    def __init__(self, built, *options, replicas=1, **named):
        self.place = strategy(replicas)
        self.share = BATCH // replicas
        self.state = built(*options, place=self.place, **named)
        self.schedule, self.augmentation = Rising(), Plain()
        self.step_of(Momentum(nesterov=False))

    def step_of(self, optimizer):
        step = TrainStep(
            self.state,
            self.augmentation,
            optimizer,
            self.schedule,
            steps=10,
            batch_size=BATCH,
            examples=100,
            seed=3,
        )
        self.run = tf.function(lambda batch: self.place.run(step, args=(batch,)))

    def __call__(self):
        batch = TrainingBatch(
            views={"instance": PIXELS.astype(np.uint8)},
            label=np.arange(BATCH, dtype=np.int32),
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
                batch,
            )
        )
        return {
            name: [float(v) for v in self.place.experimental_local_results(value)]
            for name, value in out.items()
        }

    def value(self, name):
        return self.state.table[name].numpy()


@pytest.mark.parametrize("replicas", [1, 2, pytest.param(4, marks=pytest.mark.slow)])
def test_updates_by_the_mean_gradient_of_the_global_batch(built, replicas):
    stepper = Stepper(built, replicas=replicas)
    out = stepper()
    # Float32 sums of 128 numbers, in an order that depends on the replicas.
    close = functools.partial(np.testing.assert_allclose, rtol=1e-5)
    close(stepper.value("encoder/scale"), 1 - 0.1 * GRADIENT)
    close(stepper.value("optimizer/momentum/encoder/scale"), GRADIENT)
    close(out["loss"], [GRADIENT.sum()] * replicas)
    close(out["gradient_norm"], [np.linalg.norm(GRADIENT)] * replicas)
    # The objective's state: the mean label, over all rows, on every replica.
    assert out["row"] == [3.5] * replicas


def test_takes_the_rate_of_its_step(built):
    stepper = Stepper(built)
    rates = [stepper()["learning_rate"][0] for _ in range(3)]
    np.testing.assert_allclose(rates, [0.1, 0.2, 0.3], rtol=1e-6)
    assert int(stepper.value("step")) == 3
    assert stepper.schedule.told == {"steps": 10, "batch_size": BATCH, "examples": 100}
    # The loss is linear, so gradients are constant; the velocity adds them up.
    moved = GRADIENT * (0.1 * 1 + 0.2 * 1.9 + 0.3 * (1 + 0.9 * 1.9))
    np.testing.assert_allclose(stepper.value("encoder/scale"), 1 - moved, rtol=1e-5)


@pytest.mark.parametrize("replicas", [1, 2])
def test_autograph_rewrites_nothing(built, replicas, monkeypatch):
    seen = set()

    def rate(self, step, **run):
        seen.add(ag_ctx.control_status_ctx().status)
        return tf.constant(0.1)

    monkeypatch.setattr(Rising, "rate", rate)
    Stepper(built, replicas=replicas)()
    assert seen == {ag_ctx.Status.DISABLED}


@pytest.mark.parametrize("replicas", [1, 2])
def test_after_update_sees_new_weights_and_the_step_that_was_made(built, replicas):
    stepper = Stepper(built, replicas=replicas)
    for made in range(2):
        stepper()
        np.testing.assert_array_equal(
            stepper.value("seen"), stepper.value("encoder/scale")
        )
        assert stepper.value("seen_step") == made


def test_state_is_updated_even_with_a_learning_rate_of_zero(built):
    """As published: statistics, bank and twin change in a step with rate 0."""
    stepper = Stepper(built)
    stepper.schedule.rate = lambda step, **run: tf.zeros([])
    stepper()
    assert stepper.value("encoder/scale").tolist() == [1, 1, 1]
    assert stepper.value("seen").tolist() == [1, 1, 1]
    assert stepper.value("step") == 1


def test_the_step_seed_is_the_same_on_all_replicas_and_new_each_step(built, objective):
    """Seen through the views: their first pixel becomes the seed."""

    class Seeded(objective):
        def call(self, batch, *, step):
            outcome = super().call(batch, step=step)
            low = tf.reduce_min(batch.views["instance"][0, :, 0, 0, 0])
            high = tf.reduce_max(batch.views["instance"][0, :, 0, 0, 0])
            return Outcome(outcome.loss, {"low": low, "high": high})

    stepper = Stepper(built, Seeded, replicas=4)

    def seed_as_pixels(views, *, step_seed, example_seeds):
        number = tf.cast(tf.reduce_sum(step_seed % 1000), tf.float32)
        return {"instance": number * tf.ones(views["instance"].shape)}

    stepper.augmentation.batch = seed_as_pixels
    first, second = stepper(), stepper()
    # Means over replicas of the least and the greatest agree if all are the same.
    assert first["low"] == first["high"] != second["low"] == second["high"]


@pytest.mark.parametrize("replicas", [1, 2])
def test_holds_weights_and_their_slots_for_the_first_updates(
    built, objective, replicas
):
    """Weight decay alone would change them; their updates are counted later."""

    class Held(objective):
        frozen_steps = {"^head": 2}  # noqa: RUF012

        def build(self, *shapes, **named):
            super().build()
            self.head = self.add_weight(name="head", shape=(2,), initializer="ones")

        def call(self, batch, *, step):
            outcome = super().call(batch, step=step)
            return outcome._replace(loss=outcome.loss + tf.reduce_sum(self.head))

    class Counting(Momentum):
        def update(self, weight, gradient, slots, *, path, rate, step):
            told = {"momentum": tf.fill(weight.shape, tf.cast(step + 1, tf.float32))}
            return weight - gradient - 0.1 * weight, told

    stepper = Stepper(built, Held, optimizer=Counting(), replicas=replicas)
    stepper.step_of(Counting())
    encoder = []
    for _ in range(2):
        stepper()
        assert stepper.value("head").tolist() == [1, 1]
        assert stepper.value("optimizer/momentum/head").tolist() == [0, 0]
        encoder.append(stepper.value("encoder/scale")[0])
    assert 1 > encoder[0] > encoder[1]
    stepper()
    np.testing.assert_allclose(stepper.value("head"), [-0.1, -0.1], rtol=1e-5)
    assert stepper.value("optimizer/momentum/head").tolist() == [1, 1]
    assert stepper.value("optimizer/momentum/encoder/scale").tolist() == [3, 3, 3]


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        ({"^hed": 2}, r"frozen_steps: the pattern '\^hed' matches none of the 1 wei"),
        ({"scale": 1.5}, "frozen_steps holds 'scale' for 1.5 updates; wanted a whole"),
        ({"scale": -1}, "frozen_steps holds 'scale' for -1 updates; wanted a whole"),
        ({"(": 1}, r"frozen_steps: '\(' is not a regular expression"),
    ],
)
def test_refuses_to_hold_weights_that_do_not_exist(built, objective, steps, said):
    class Held(objective):
        frozen_steps = steps

    with pytest.raises(UserError, match=said):
        built(Held)


def test_names_a_weight_that_no_gradient_reaches(built, objective):
    class Unused(objective):
        def build(self, *shapes, **named):
            super().build()
            self.extra = self.add_weight(name="extra", shape=(2,))

    with pytest.raises(
        UserError, match=r"no gradient reaches extra\. Use these weights"
    ):
        Stepper(built, Unused)()


def test_metrics_must_not_depend_on_the_replica(built, objective):
    class Maximum(objective):
        def call(self, batch, *, step):
            outcome = super().call(batch, step=step)
            top = tf.cast(tf.reduce_max(batch.label), tf.float32)
            return Outcome(outcome.loss, {"top": top})

    # Averaged over replicas: the means of 1, 3, 5 and 7.
    assert Stepper(built, Maximum, replicas=4)()["top"] == [4.0] * 4
