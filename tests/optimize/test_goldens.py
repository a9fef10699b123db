"""The optimizers and schedules against the published implementation."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tensorflow as tf
from step_by_step import ROUNDED

from sslkit.optimize.adam import Adam
from sslkit.optimize.lars import LARS
from sslkit.optimize.momentum import Momentum
from sslkit.optimize.schedules import WarmupCosine

# Relative: the published Adam takes 1 - 0.999 and 1 - 0.999^t of float32 numbers, which
# are known to 6e-8 / 1e-3.
ADAM = 6e-5
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


@pytest.mark.parametrize(
    "updates", [(0, 1, 9), pytest.param(tuple(range(10)), marks=pytest.mark.slow)]
)
def test_every_update_is_the_published_one(golden, updates):
    """Each in float64 and from the float32 state that was recorded before it."""
    manifest = json.loads((golden / "optim/optim_manifest.json").read_text())
    with np.load(golden / "optim/optim_inputs.npz") as arrays:
        inputs = dict(arrays)
    with np.load(golden / "optim/optim_trajectories.npz") as arrays:
        recorded = dict(arrays)
    names = [key[5:] for key in inputs if key.startswith("init/")]
    compared = set()
    for case in manifest["cases"]:
        optimizer, adam = optimizer_of(case), case["name"] == "adam"
        for name in names:
            param = f"{case['name']}/param/{name}"
            keys = {
                slot: f"{case['name']}/slot/{name}/{PUBLISHED_SLOTS[slot]}"
                for slot in optimizer.slots
            }
            for t in updates:
                old = recorded[param][t - 1] if t else inputs[f"init/{name}"]
                held = {
                    slot: recorded[key][t - 1] if t else np.zeros_like(old)
                    for slot, key in keys.items()
                }
                weight, slots = optimizer.update(
                    tf.constant(old, tf.float64),
                    tf.constant(inputs[f"grads/{name}"][t], tf.float64),
                    {slot: tf.constant(v, tf.float64) for slot, v in held.items()},
                    path=name,
                    rate=tf.constant(inputs["lrs"][t], tf.float64),
                    step=tf.constant(t, tf.int64),
                )
                found = {param: weight} | {keys[slot]: slots[slot] for slot in keys}
                for key, value in found.items():
                    wanted = recorded[key][t]
                    allowed = ROUNDED * max(np.abs(wanted).max(), np.abs(old).max())
                    if adam:
                        moved = wanted - old if key == param else wanted
                        allowed += ADAM * np.abs(moved).max()
                    np.testing.assert_allclose(
                        value, wanted, rtol=0, atol=allowed, err_msg=f"{key} at {t}"
                    )
            compared |= {param, *keys.values()}
    # Ours counts updates and keeps no powers.
    powers = {key for key in recorded if key.endswith("_power")}
    assert len(powers) == 2
    assert compared | powers == set(recorded)


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
