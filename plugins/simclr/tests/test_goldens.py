"""SimCLR's loss and its gradient against the published implementation."""

from __future__ import annotations

import json

import numpy as np
import tensorflow as tf

from sslkit.objectives import (
    gather_view_major,
    multi_view_nt_xent,
    own_columns,
    unit_views,
)

# The same float32 sums in another order: 1e-5 of the loss. A gradient is a difference
# of probabilities, so its error is judged against its largest entry.
LOSS_RTOL = 1e-5
GRADIENT_RTOL = 1e-4


def test_two_views(golden):
    folder = golden / "objective"
    cases = json.loads((folder / "simclr_manifest.json").read_text())["cases"]
    # The one case without a batch is the supervised loss.
    cases = [case for case in cases if "batch" in case]
    inputs = np.load(folder / "simclr_inputs.npz")
    outputs = np.load(folder / "simclr_outputs.npz")
    for index, case in enumerate(cases):
        name, batch = case["name"], case["batch"]
        # Some in blocks, which add up numbers of the size of the logits: those of unit
        # vectors are small.
        block = 5 if case["hidden_norm"] and index % 6 == 0 else None
        hidden = tf.constant(inputs[case["input"]])
        with tf.GradientTape() as tape:
            tape.watch(hidden)
            anchors = (
                unit_views(hidden, views=2)
                if case["hidden_norm"]
                else tf.reshape(hidden, [2, batch, -1])
            )
            candidates = gather_view_major(anchors)
            loss = multi_view_nt_xent(
                anchors,
                candidates,
                temperature=case["temperature"],
                block=block,
            )
        wanted = outputs[f"{name}/grad"]
        np.testing.assert_allclose(
            loss, outputs[f"{name}/loss"], rtol=LOSS_RTOL, err_msg=name
        )
        np.testing.assert_allclose(
            tape.gradient(loss, hidden),
            wanted,
            rtol=0,
            atol=GRADIENT_RTOL * np.abs(wanted).max(),
            err_msg=name,
        )
        # Published logits and labels are those of view 0 against view 1, whose columns
        # are first there and second here.
        logits = (anchors[0] @ tf.transpose(candidates))[:, batch:]
        largest = np.abs(outputs[f"{name}/logits"]).max()
        np.testing.assert_allclose(
            logits / case["temperature"],
            outputs[f"{name}/logits"],
            rtol=0,
            atol=1e-5 * largest,
            err_msg=name,
        )
        labels = tf.one_hot(own_columns(views=2, batch=batch)[1] - batch, 2 * batch)
        np.testing.assert_array_equal(labels, outputs[f"{name}/labels"])
    assert len(cases) == 48
