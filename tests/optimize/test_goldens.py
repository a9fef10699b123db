"""The optimizers and schedules against the published implementation."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tensorflow as tf

from sslkit.optimize.adam import Adam
from sslkit.optimize.lars import LARS
from sslkit.optimize.momentum import Momentum
from sslkit.optimize.schedules import WarmupCosine

PUBLISHED_SLOTS = {"momentum": "Momentum", "mean": "Adam", "square": "Adam_1"}


def optimizer_of(case):
    if case["optimizer"] == "momentum":
        return Momentum(momentum=case["momentum"], nesterov=case["use_nesterov"])
    if case["optimizer"] == "adam":
        return Adam()
    excluded = case.get("exclude_from_weight_decay", [])
    return LARS(
        momentum=case["momentum"],
        weight_decay=case["weight_decay"],
        trust=case["eeta"],
        nesterov=case["use_nesterov"],
        classic_momentum=case["classic_momentum"],
        no_decay=excluded,
        no_adaptation=case.get("exclude_from_layer_adaptation", excluded),
    )


def test_trajectories(golden):
    manifest = json.loads((golden / "optim/optim_manifest.json").read_text())
    inputs = np.load(golden / "optim/optim_inputs.npz")
    outputs = np.load(golden / "optim/optim_trajectories.npz")
    names = [key[5:] for key in inputs.files if key.startswith("init/")]
    compared = 0
    for case in manifest["cases"]:
        optimizer = optimizer_of(case)
        # Ten float32 updates of unit-sized weights, each rounded a few times. Adam
        # divides by the root of 1 - 0.999^t: float32 knows that to 6e-8 / 1e-3 / 2, or
        # 3e-5, of steps of up to 0.8.
        atol = 2.4e-5 if case["name"] == "adam" else 2e-6
        for name in names:
            weight = tf.constant(inputs[f"init/{name}"])
            slots = {slot: tf.zeros_like(weight) for slot in optimizer.slots}
            for t in range(10):
                weight, slots = optimizer.update(
                    weight,
                    tf.constant(inputs[f"grads/{name}"][t]),
                    slots,
                    path=name,
                    rate=tf.constant(inputs["lrs"][t], tf.float32),
                    step=tf.constant(t, tf.int64),
                )
                key = f"{case['name']}/param/{name}"
                np.testing.assert_allclose(
                    weight, outputs[key][t], rtol=2e-5, atol=atol, err_msg=key
                )
                for slot, value in slots.items():
                    key = f"{case['name']}/slot/{name}/{PUBLISHED_SLOTS[slot]}"
                    if key in outputs:
                        np.testing.assert_allclose(
                            value, outputs[key][t], rtol=2e-5, atol=atol, err_msg=key
                        )
                        compared += 1
    assert compared > 1000


def test_schedules(golden):
    cases = json.loads((golden / "optim/lr_schedule.json").read_text())
    expected = np.load(golden / "optim/lr_schedule.npz")
    for case in cases:
        schedule = WarmupCosine(
            base=case["lr"],
            scaling=case["scaling"],
            warmup_epochs=case["warmup_epochs"],
        )
        steps = expected[f"{case['name']}/steps"]
        rates = schedule.rate(
            tf.constant(steps, tf.int64),
            steps=case["total_steps"],
            batch_size=case["train_batch_size"],
            examples=case["num"],
        )
        wanted = expected[f"{case['name']}/lr"]
        # Near its end the cosine is 1 - (1 - tiny): float32 leaves 1e-7 of the peak.
        np.testing.assert_allclose(
            rates, wanted, rtol=1e-6, atol=2e-7 * wanted.max(), err_msg=str(case)
        )


@pytest.mark.parametrize("decoupled", [False, True])
def test_adam_decays_weights_but_not_normalisation(decoupled):
    optimizer = Adam(weight_decay=0.1, decoupled=decoupled)
    weight = tf.ones([3])
    slots = {slot: tf.zeros([3]) for slot in optimizer.slots}
    new = {
        path: optimizer.update(
            weight,
            tf.zeros([3]),
            slots,
            path=path,
            rate=tf.constant(0.01),
            step=tf.constant(0, tf.int64),
        )[0]
        for path in ("encoder/conv/kernel", "encoder/norm/gamma")
    }
    assert np.all(new["encoder/norm/gamma"] == weight)
    assert np.all(new["encoder/conv/kernel"] < weight)
