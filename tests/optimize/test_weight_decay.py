"""Weight decay in the gradient against the published L2 losses.

Weight decay adds decay x weight to the gradient, which is the derivative of decay / 2 x
|weight|^2. So the corresponding loss is half of weight times that derivative.
"""

from __future__ import annotations

import json

import numpy as np
import pytest
import tensorflow as tf

from sslkit.optimize.adam import Adam
from sslkit.optimize.lars import LARS
from sslkit.optimize.momentum import Momentum

NORMS, HEAD = "batch_normalization", "head_supervised"


def slope(optimizer, path, weight):
    """Returns what an optimizer adds to a zero gradient, from its first velocity."""
    slots = {slot: tf.zeros_like(weight) for slot in optimizer.slots}
    _, slots = optimizer.update(
        weight,
        tf.zeros_like(weight),
        slots,
        path=path,
        rate=tf.constant(1.0),
        step=tf.constant(0, tf.int64),
    )
    if isinstance(optimizer, Adam):
        return np.float64(slots["mean"]) / 0.1
    return np.float64(slots["momentum"])


def optimizer_of(case):
    decay = case["weight_decay"]
    if case["optimizer"] == "lars":
        return LARS(
            weight_decay=decay,
            no_decay=(NORMS, "bias"),
            no_adaptation=(NORMS, "bias", HEAD),
        )
    kind = {"momentum": Momentum, "adam": Adam}[case["optimizer"]]
    return kind(weight_decay=decay, no_decay=(NORMS,))


def test_losses(golden):
    cases = json.loads((golden / "optim/weight_decay.json").read_text())["cases"]
    inputs = np.load(golden / "optim/optim_inputs.npz")
    weights = {
        key.removeprefix("init/"): inputs[key]
        for key in inputs.files
        if key.startswith("init/")
    }
    for case in cases:
        optimizer = optimizer_of(case)
        loss = sum(
            0.5 * np.sum(weight * slope(optimizer, name, tf.constant(weight)))
            for name, weight in weights.items()
            # With LARS only the head has a loss; the rest decays in the optimizer.
            if case["optimizer"] != "lars" or HEAD in name
        )
        np.testing.assert_allclose(loss, case["loss"], rtol=1e-5, err_msg=str(case))
    assert len(cases) == 9


@pytest.mark.parametrize(
    ("path", "by_lars", "by_others"),
    [
        ("encoder/stem/conv/kernel", True, True),
        ("encoder/stem/norm/gamma", False, False),
        ("encoder/stem/norm/beta", False, False),
        ("projection/layer_0/dense/kernel", True, True),
        ("classifier/kernel", True, True),
        ("classifier/bias", False, True),
    ],
)
def test_defaults_decay_what_was_published(path, by_lars, by_others):
    weight = tf.constant([3.0, 4.0])
    for optimizer, decays in (
        (LARS(weight_decay=0.1), by_lars),
        (Momentum(weight_decay=0.1), by_others),
        (Adam(weight_decay=0.1), by_others),
    ):
        found = slope(optimizer, path, weight)
        assert bool(np.any(found)) == decays, type(optimizer)


def test_lars_does_not_scale_the_head():
    weight = tf.constant([3.0, 4.0])
    found = slope(LARS(weight_decay=0.1), "classifier/kernel", weight)
    np.testing.assert_allclose(found, [0.3, 0.4], rtol=1e-6)
    # Unavailable 0.001 x |w| / |0.1 w| scales it.
    found = slope(LARS(weight_decay=0.1), "encoder/conv/kernel", weight)
    np.testing.assert_allclose(found, [0.003, 0.004], rtol=1e-6)
