"""The loss and its gradient against the published implementation."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tensorflow as tf

from sslkit.objectives import gather_view_major
from sslkit_fnc.loss import cancelled_nt_xent

# The same float32 sums in another order: 1e-5 of the loss. A gradient is a difference
# of probabilities, so its error is judged against its largest entry.
LOSS_RTOL = 1e-5
GRADIENT_RTOL = 1e-4


@pytest.fixture(scope="module")
def published(golden):
    folder = golden / "objective"
    cases = json.loads((folder / "manifest.json").read_text())["cases"]
    return cases, np.load(folder / "inputs.npz"), np.load(folder / "outputs.npz")


def view_major(hidden, case):
    """[V * b, D] -> [V, b, D], normalised where the case says so."""
    if case["hidden_norm"]:
        hidden = tf.math.l2_normalize(hidden, -1)
    return tf.reshape(hidden, [case["views"], -1, case["dim"]])


def loss_of(anchors, references, candidates, case):
    return cancelled_nt_xent(
        anchors,
        references,
        candidates,
        temperature=case["temperature"],
        topk=case["fn_topk"],
        threshold=case["fn_threshold"],
    )


def check(loss, gradient, wanted_loss, wanted_gradient, name):
    np.testing.assert_allclose(loss, wanted_loss, rtol=LOSS_RTOL, err_msg=name)
    scale = np.abs(wanted_gradient).max()
    np.testing.assert_allclose(
        gradient, wanted_gradient, rtol=0, atol=GRADIENT_RTOL * scale, err_msg=name
    )


def test_batch_candidates(published):
    cases, inputs, outputs = published
    cases = [case for case in cases if case["kind"] == "plain"]
    for case in cases:
        hidden = tf.constant(inputs[case["input"]])
        with tf.GradientTape() as tape:
            tape.watch(hidden)
            anchors = view_major(hidden, case)
            loss, detected = loss_of(anchors, anchors, gather_view_major(anchors), case)
        assert int(tf.math.count_nonzero(detected)) == case["fn_total"], case
        name = case["name"]
        gradient = tape.gradient(loss, hidden)
        check(loss, gradient, outputs[f"{name}/loss"], outputs[f"{name}/grad"], name)
    assert len(cases) > 300


def test_bank_candidates(published):
    cases, inputs, outputs = published
    cases = [case for case in cases if case["kind"] == "memory"]
    for case in cases:
        hidden = tf.constant(inputs[case["input"] + "_hidden"])
        with tf.GradientTape() as tape:
            tape.watch(hidden)
            loss, detected = loss_of(
                view_major(hidden, case),
                view_major(inputs[case["input"] + "_hidden_ema"], case),
                tf.constant(inputs[case["input"] + "_memory"]),
                case,
            )
        assert int(tf.math.count_nonzero(detected)) == case["fn_total"], case
        name = case["name"]
        gradient = tape.gradient(loss, hidden)
        check(loss, gradient, outputs[f"{name}/loss"], outputs[f"{name}/grad"], name)
    assert len(cases) > 80
