"""The encoder as a `.keras` file and as ONNX."""

from __future__ import annotations

import os
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from sslkit.api import Backbone, UserError
from sslkit.export.keras_model import save_keras, stock_layers
from sslkit.export.onnx import save_onnx
from sslkit.nn import ResNet

# Runs where importing the package is impossible.
LOAD = """
import sys
sys.modules["sslkit"] = None
import keras, numpy
encoder = keras.models.load_model(sys.argv[1])
numpy.save(sys.argv[3], encoder(numpy.load(sys.argv[2]), training=False))
"""


def build(size, **options):
    keras.utils.set_random_seed(4)
    encoder = ResNet(**options, name="encoder")
    encoder.build((None, size, size, 3))
    draw = np.random.default_rng(0)
    for variable in encoder.variables:
        if variable.name != "kernel":
            variable.assign(draw.uniform(0.5, 1.5, variable.shape))
    return encoder


def pictures(size):
    return np.random.default_rng(1).random([3, size, size, 3], np.float32)


@pytest.mark.parametrize(
    ("size", "options"),
    [
        (16, {"depth": 18, "se_ratio": 0.25}),
        pytest.param(40, {"depth": 18}, marks=pytest.mark.slow),
        (40, {"depth": 50, "sk_ratio": 0.0625}),
    ],
)
def test_stock_layers_compute_the_same(size, options):
    encoder = build(size, **options)
    model = stock_layers(encoder, size=size)
    images = pictures(size)
    assert not any(
        type(layer).__module__.startswith("sslkit") for layer in model.layers
    )
    for training in (False, True):
        want = encoder(tf.constant(images), training=training).numpy()
        found = model(images, training=training).numpy()
        # Up to 54 layers of float32 roundings, relative to the largest feature;
        # normalising by three images makes them larger.
        allowed = (2e-4 if training else 2e-5) * np.abs(want).max()
        np.testing.assert_allclose(found, want, rtol=0, atol=allowed)


def loaded_here(folder):
    """Loads it in this process; none of its layers is ours, see above."""
    model = keras.models.load_model(folder / "encoder.keras")
    return model(np.load(folder / "images.npy"), training=False).numpy()


def loaded_elsewhere(folder):
    """Does so where the package cannot be imported."""
    subprocess.run(
        [sys.executable, "-c", LOAD, "encoder.keras", "images.npy", "found.npy"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": ""},
        check=True,
        capture_output=True,
    )
    found = np.load(folder / "found.npy")
    (folder / "found.npy").unlink()
    return found


# Keras itself reads its variables in a way that NumPy has deprecated.
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
# Keras 3.10 expects ['images'] of a model that was loaded, and warns of a tensor.
@pytest.mark.filterwarnings("ignore:The structure of .inputs.:UserWarning")
@pytest.mark.parametrize(
    "loaded", [loaded_here, pytest.param(loaded_elsewhere, marks=pytest.mark.slow)]
)
def test_loads_with_keras_alone(tmp_path, loaded):
    encoder = build(16, depth=18, se_ratio=0.25)
    images = pictures(16)
    np.save(tmp_path / "images.npy", images)
    lines = save_keras(encoder, tmp_path / "encoder.keras", size=16)
    want = encoder(tf.constant(images), training=False).numpy()
    found = loaded(tmp_path)
    np.testing.assert_allclose(found, want, atol=2e-5 * np.abs(want).max())
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "encoder.keras",
        "images.npy",
    ]
    namespace: dict = {}
    exec(lines, namespace)
    assert namespace["features"].shape == (1, 512)


class Other(Backbone):
    feature_dim = 3

    def call(self, images, *, training):
        return tf.reduce_mean(images, [1, 2])


def test_refuses(tmp_path):
    with pytest.raises(UserError, match="a Other; only a ResNet can be written"):
        save_keras(Other(name="encoder"), tmp_path / "a.keras", size=8)
    with pytest.raises(UserError, match=r"does not end in \.keras"):
        save_keras(Other(name="encoder"), tmp_path / "a.h5", size=8)


def test_onnx_without_its_package(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tf2onnx", None)
    with pytest.raises(UserError, match="pip install tf2onnx onnxruntime"):
        save_onnx(Other(name="encoder"), tmp_path / "a.onnx", size=8)


def test_onnx_computes_the_same(tmp_path):
    pytest.importorskip("tf2onnx", reason="the extra sslkit[onnx] is not installed")
    import onnx
    from onnx.reference import ReferenceEvaluator

    encoder = build(16, depth=18)
    images = pictures(16)
    path = tmp_path / "encoder.onnx"
    save_onnx(encoder, path, size=16)
    (found,) = ReferenceEvaluator(onnx.load(path)).run(None, {"images": images})
    want = encoder(tf.constant(images), training=False).numpy()
    np.testing.assert_allclose(found, want, atol=2e-5 * np.abs(want).max())
