"""Networks and heads against the published implementation."""

from __future__ import annotations

import itertools
import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from nn.published import classifier_names, encoder_names, projection_names, weight

from sslkit.nn import LinearClassifier, ProjectionHead, ResNet

NETWORKS = {
    "r18_cifar": {"depth": 18},
    "r18_imagenet": {"depth": 18},
    "r18_w2_cifar": {"depth": 18, "width": 2},
    "r18_se_cifar": {"depth": 18, "se_ratio": 0.25},
    "r50_cifar": {"depth": 50},
    "r50_sk_imagenet": {"depth": 50, "sk_ratio": 0.0625},
}

# Both implementations are float32 and round in orders of their own; the float64 run is
# the truth. Ours may be 4 times as far from it as the published one, beside a floor of
# 8 units in the last place of the largest entry, where both are as good as exact.
MULTIPLE = 4
FLOOR = 8 * 2.0**-23


class Network:
    """One published network with its recorded weights and outputs."""

    def __init__(self, folder, options):
        self.recorded = np.load(folder / "digest.npz")
        self.exact = np.load(folder / "digest_f64.npz")
        self.variables = json.loads((folder / "variables.json").read_text())
        self.images = tf.constant(self.recorded["input"])
        self.encoder = ResNet(**options)
        self.projection = ProjectionHead()
        self.classifier = LinearClassifier(classes=10)
        shape = (None, *self.images.shape[1:])
        features = self.encoder(keras.KerasTensor(shape), training=False)
        self.projection(features, training=False)
        self.classifier(features)
        self.named = dict(
            itertools.chain(
                encoder_names(self.encoder),
                projection_names(self.projection),
                classifier_names(self.classifier),
            )
        )
        for name, variable in self.named.items():
            variable.assign(weight(name, tuple(variable.shape)))

    def outputs(self, training):
        found = self.encoder.endpoints(self.images, training=training)
        projected = self.projection.outputs(found["final_avg_pool"], training=training)
        found["proj_head_output"] = projected[-1]
        for selector in (0, 1, 2, 3, -1):
            found[f"ft_proj_{selector}"] = projected[selector]
        for selector in (0, 1, 2):
            found[f"logits_sup_ft{selector}"] = self.classifier(projected[selector])
        return found

    def check(self, key, value):
        published = self.recorded[f"{key}|sample"]
        value = np.asarray(value)
        np.testing.assert_array_equal(value.shape, self.recorded[f"{key}|shape"])
        stride = int(self.recorded[f"{key}|stride"])
        ours = value.ravel()[::stride][: published.size].astype("float64")
        exact = self._exact(key)
        if exact is None:
            self._check_logits(key, ours, published)
            return
        allowed = MULTIPLE * np.abs(published - exact).max()
        allowed += FLOOR * np.abs(exact).max()
        np.testing.assert_allclose(ours, exact, rtol=0, atol=allowed, err_msg=key)

    def _exact(self, key):
        same = {"ft_proj_0": "final_avg_pool"} | dict.fromkeys(
            ("ft_proj_3", "ft_proj_-1"), "proj_head_output"
        )
        mode, _, name = key.partition("/")
        found = f"{mode}/{same.get(name, name)}|sample"
        return self.exact.get(found)

    def _check_logits(self, key, ours, published):
        """Checks logits without a float64 run by the features they are made of."""
        features = key.replace("logits_sup_ft", "ft_proj_") + "|sample"
        exact = self.exact[features]
        error = np.abs(self.recorded[features] - exact).max() / np.abs(exact).max()
        allowed = (MULTIPLE * error + FLOOR) * np.abs(published).max()
        np.testing.assert_allclose(ours, published, rtol=0, atol=allowed, err_msg=key)


@pytest.mark.parametrize("name", NETWORKS)
def test_computes_what_was_published(golden, name):
    network = Network(golden / "resnet" / name, NETWORKS[name])

    ours = [(name, list(variable.shape)) for name, variable in network.named.items()]
    published = [(v["name"], v["shape"]) for v in network.variables["variables"]]
    assert ours == published
    trainable = {v["name"]: v["trainable"] for v in network.variables["variables"]}
    assert {n: v.trainable for n, v in network.named.items()} == trainable

    for key, value in network.outputs(training=False).items():
        network.check(f"eval/{key}", value)
    for key, value in network.outputs(training=True).items():
        network.check(f"train/{key}", value)
    updated = [v for v in network.named if "/moving_" in v]
    assert updated
    for key in updated:
        network.check(f"bn_after_1_update/{key}", network.named[key])
