"""A run in bfloat16: trained, evaluated, exported and planned by commands."""

from __future__ import annotations

import re

import keras
import numpy as np
import pytest
import tensorflow as tf

import sslkit
from sslkit.cli.main import main

RECIPE = ["--gin", "gin/simclr_digits_pretrain.gin"]
SMALL = [
    "train.steps = 2",
    "train.batch_size = 8",
    "train.knn_every = 0",
    "backbones.convnet.filters = (4, 8)",
    "evaluate.train_limit = 64",
    "evaluate.test_limit = 64",
    "evaluate.baselines = False",
]
HALF = "train.precision = 'bfloat16'"
IMAGES = np.random.default_rng(0).uniform(size=[4, 12, 12, 3]).astype(np.float32)


def settings(*texts):
    return [word for text in texts for word in ("--set", text)]


@pytest.fixture(scope="module")
def half(tmp_path_factory, repository):
    """A finished run in bfloat16."""
    workdir = str(tmp_path_factory.mktemp("half") / "W")
    words = ["train", *RECIPE, "--workdir", workdir, *settings(*SMALL, HALF)]
    assert main(words) == 0
    return workdir


@pytest.mark.slow
def test_half_precision_is_printed_first_and_does_not_stay_set(half, capsys):
    assert main(["train", *RECIPE, "--workdir", half, *settings(*SMALL, HALF)]) == 0
    assert (
        "precision: bfloat16 in the network, float32 in weights, statistics and "
        in (capsys.readouterr().out)
    )
    assert keras.config.dtype_policy().name == "float32"


@pytest.mark.slow
def test_it_is_measured_and_loaded_in_its_own_precision(half, capsys):
    assert main(["evaluate", "--workdir", half]) == 0
    assert "kNN" in capsys.readouterr().out
    encoder = sslkit.load_encoder(half)
    features = encoder(IMAGES)
    assert features.dtype == tf.float32
    assert {layer.compute_dtype for layer in convolutions(encoder)} == {"bfloat16"}
    assert {variable.dtype for variable in encoder.variables} == {"float32"}


def convolutions(encoder):
    return [x for x in encoder._flatten_layers() if isinstance(x, keras.layers.Conv2D)]


@pytest.mark.slow
def test_it_is_exported_in_float32_unless_asked_and_the_card_says_so(half, tmp_path):
    wide, narrow = str(tmp_path / "wide"), str(tmp_path / "narrow")
    assert main(["export", "--workdir", half, "--to", wide]) == 0
    words = ["export", "--workdir", half, "--to", narrow, *settings(HALF)]
    assert main(words) == 0
    cards = [(tmp_path / name / "README.md").read_text() for name in ("wide", "narrow")]
    said = [re.search(r"^- precision: (.*)$", card, re.M) for card in cards]
    plainly = "from float32 weights to float32 features"
    assert said[0][1] == (
        f"computes in float32, {plainly}; trained, and measured below, in bfloat16"
    )
    assert said[1][1] == f"computes in bfloat16, {plainly}"
    features = [
        tf.saved_model.load(path)(IMAGES)["features"] for path in (wide, narrow)
    ]
    own = sslkit.load_encoder(half)(IMAGES).numpy()
    scale = float(np.max(np.abs(own)))
    # The same operations, in the same precision.
    np.testing.assert_allclose(features[1], own, rtol=0, atol=1e-6 * scale)
    # bfloat16 rounds by 2^-9; a few layers of it.
    np.testing.assert_allclose(features[0], own, rtol=0, atol=3e-2 * scale)
    assert np.any(features[0] != own)


@pytest.mark.slow
def test_it_is_planned(repository, capsys):
    words = ["plan", *RECIPE, "--examples", "1437", *settings(*SMALL[:4], HALF)]
    assert main(words) == 0
    assert re.search(r"FLOPs per step .* in all, bfloat16\n", capsys.readouterr().out)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("train.precision = 'half'", "'half'.*'float32'.*'bfloat16'"),
        ("train.precision = 16", "16.*'float32'.*'bfloat16'"),
        ("train.tf32 = 'no'", "train.tf32.*'no'.*True or False"),
        ("train.deterministic = 1", "train.deterministic.*1.*True or False"),
        ("runners.single.memory_growth = 0.5", "memory_growth.*0.5.*True or False"),
    ],
)
def test_what_does_not_exist_is_refused_without_tensorflow(text, said, capsys):
    assert main(["config", *RECIPE, *settings(text)]) == 2
    assert re.search(said, capsys.readouterr().err)
