"""Loading an encoder from a workdir, an export, an import or a checkpoint."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

import sslkit
from sslkit.cli.main import main
from sslkit.errors import UserError
from sslkit.published.importing import import_published

IMAGES = np.random.default_rng(0).random([3, 8, 8, 3], np.float32)


@pytest.fixture(scope="module")
def live(workdir):
    return sslkit.load_encoder(workdir)


@pytest.fixture(scope="module")
def saved(exported):
    return sslkit.load_encoder(exported)


def test_a_workdir_and_its_export_are_one_encoder(live, saved):
    for encoder in (live, saved):
        assert (encoder.size, encoder.feature_dim) == (8, 512)
        assert len(encoder.trainable_variables) >= 62
    want = live(IMAGES).numpy()
    assert want.shape == (3, 512)
    np.testing.assert_allclose(saved(IMAGES), want, rtol=1e-4, atol=1e-5)
    for name, value in live.endpoints(IMAGES).items():
        found = saved.endpoints(IMAGES)[name]
        np.testing.assert_allclose(found, value, rtol=1e-4, atol=1e-5, err_msg=name)
    assert not np.allclose(saved(IMAGES, training=True), want)


def test_no_images_have_no_features(live, saved):
    for encoder in (live, saved):
        assert encoder(IMAGES[:0]).shape == (0, 512)


def test_a_published_checkpoint(golden):
    folder = golden / "resnet" / "r18_cifar"
    encoder = sslkit.load_encoder(folder / "model.ckpt-1234")
    digest = np.load(folder / "digest.npz")
    assert encoder.size == 32
    for name, found in encoder.endpoints(digest["input"]).items():
        stride = int(digest[f"eval/{name}|stride"])
        want = digest[f"eval/{name}|sample"]
        # Endpoints before normalisation and pooling are of size 10.
        np.testing.assert_allclose(
            found.numpy().ravel()[::stride][: want.size], want, rtol=1e-4, atol=1e-4
        )


def test_paths_without_an_encoder_are_refused(workdir, tmp_path):
    with pytest.raises(UserError, match=r"does not hold an encoder\. Name a run"):
        sslkit.load_encoder(tmp_path)
    prefix = f"{workdir}/checkpoints/step_00000002"
    with pytest.raises(UserError, match=r"Name the run's workdir\."):
        sslkit.load_encoder(prefix)


def test_importing_the_package_is_cheap():
    code = "import sslkit, sys; sslkit.load_encoder; print('tensorflow' in sys.modules)"
    found = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    )
    assert found.stdout.strip() == "False"


def test_the_card_says_what_the_export_is(workdir, exported):
    with open(f"{exported}/README.md") as file:
        card = file.read()
    with open(f"{workdir}/config.gin") as file:
        recipe = file.read()
    for said in (
        "# An encoder trained with the objective supervised",
        "encoder: ResNet-18, width 1, cifar stem (chosen by the image size); 11,182",
        "images [n, 8, 8, 3] in [0, 1] to 512 features",
        "step: 2 of 2 (finished)",
        "| kNN (k=20, T=0.07) | trained encoder | 50.00% | 87.50% | 1,000 | 297 |",
        "tf.saved_model.load(",
        recipe.strip(),
    ):
        assert said in card
    import hashlib

    assert hashlib.sha256(recipe.encode()).hexdigest() in card


def test_the_published_layout_comes_back(workdir, live, tmp_path, capsys):
    prefix = str(tmp_path / "model.ckpt-2")
    command = ["export", "--workdir", workdir, "--format", "tf1", "--to", prefix]
    assert main([*command, "--debug"]) == 0
    assert "base_model/conv2d/kernel" in capsys.readouterr().out
    assert (tmp_path / "model.ckpt-2.README.md").exists()
    loaded = sslkit.load_encoder(prefix)
    pairs = zip(loaded.variables, live.variables, strict=True)
    assert all(np.array_equal(a, b) for a, b in pairs)
    # The optimizer's slots, the step and the classifier are in it too.
    found = import_published(prefix, str(tmp_path / "W"))
    original = tf.train.load_checkpoint(f"{workdir}/checkpoints/step_00000002")
    again = tf.train.load_checkpoint(found.checkpoint)
    names = original.get_variable_to_shape_map()
    assert again.get_variable_to_shape_map() == names
    for name in names:
        np.testing.assert_array_equal(again.get_tensor(name), original.get_tensor(name))
