"""Losses and gradients of the published implementation."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tensorflow as tf

from sslkit.objectives import (
    Scores,
    gather_view_major,
    multi_view_nt_xent,
    unit_views,
)
from sslkit_fnc.detection import TopKThreshold


class Published:
    """The recorded cases, and our answer to each."""

    # The same float32 sums in another order: 1e-5 of the loss. A gradient is a
    # difference of probabilities, so its error is judged against its largest entry.
    loss_rtol = 1e-5
    gradient_rtol = 1e-4

    def __init__(self, folder):
        cases = json.loads((folder / "manifest.json").read_text())["cases"]
        self._cases = cases
        with np.load(folder / "inputs.npz") as inputs:
            self.inputs = dict(inputs)
        with np.load(folder / "outputs.npz") as outputs:
            self.outputs = dict(outputs)

    def cases(self, kind):
        return [case for case in self._cases if case["kind"] == kind]

    def views(self, hidden, case):
        """[V * b, D] -> [V, b, D], normalised if the case says so."""
        if case["hidden_norm"]:
            return unit_views(hidden, views=case["views"])
        return tf.reshape(hidden, [case["views"], -1, case["dim"]])

    def detect(self, references, candidates, case, block=None):
        policy = TopKThreshold(topk=case["fn_topk"], threshold=case["fn_threshold"])
        scores = Scores(references, candidates, views=case["views"], block=block)
        return policy.select(scores)

    def loss(self, anchors, candidates, detected, case, **options):
        loss = multi_view_nt_xent(
            anchors,
            candidates,
            temperature=case["temperature"],
            attracted=detected,
            **options,
        )
        return loss * case.get("weights", 1.0)

    def batch_loss(self, hidden, case, *, block=None, detected=None):
        """Returns loss, gradient and selection with the batch as candidates."""
        hidden = tf.constant(hidden)
        with tf.GradientTape() as tape:
            tape.watch(hidden)
            anchors = self.views(hidden, case)
            candidates = gather_view_major(anchors)
            if detected is None:
                detected = self.detect(anchors, candidates, case, block)
            loss = self.loss(anchors, candidates, detected, case, block=block)
        return loss, tape.gradient(loss, hidden), detected

    def check(self, loss, gradient, wanted_loss, wanted_gradient, name):
        np.testing.assert_allclose(loss, wanted_loss, rtol=self.loss_rtol, err_msg=name)
        self.check_gradient(gradient, wanted_gradient, name)

    def check_gradient(self, gradient, wanted, name):
        atol = self.gradient_rtol * np.abs(wanted).max()
        np.testing.assert_allclose(gradient, wanted, rtol=0, atol=atol, err_msg=name)

    def check_case(self, loss, gradient, case):
        name = case["name"]
        wanted = self.outputs[f"{name}/loss"], self.outputs[f"{name}/grad"]
        self.check(loss, gradient, *wanted, name)


@pytest.fixture(scope="session")
def published(golden):
    return Published(golden / "objective")


def is_tied(case):
    """Whether rounding decides what a published case selects.

    The recorded gap between the last selected score and the first other one is in
    float64. Below its resolution the two are equal, and rounding in float32 decides.
    """
    gap = case.get("min_topk_gap")
    return gap is not None and gap < 1e-12


@pytest.fixture(scope="session")
def tied():
    return is_tied
