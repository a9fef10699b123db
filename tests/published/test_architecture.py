"""Finding the network of a checkpoint from the shapes of its variables."""

from __future__ import annotations

import json

import pytest
import tensorflow as tf

from sslkit.api import UserError
from sslkit.nn import ResNet
from sslkit.published.architecture import Architecture, recognise
from sslkit.published.names import published_names


def shapes_of(**options):
    encoder = ResNet(**options, name="encoder")
    with tf.Graph().as_default():
        encoder.build((None, 32, 32, 3))
    shapes = {v.path: tuple(v.shape) for v in encoder.variables}
    return {name: shapes[own] for own, name in published_names(shapes).items()}


@pytest.mark.parametrize(
    "options",
    [
        {"depth": 34, "stem": "imagenet", "width": 3},
        {"depth": 50, "stem": "cifar", "se_ratio": 0.25, "width": 4},
        pytest.param(
            {"depth": 50, "stem": "imagenet", "sk_ratio": 0.125, "se_ratio": 0.5},
            marks=pytest.mark.slow,
        ),
        pytest.param({"depth": 152, "stem": "imagenet"}, marks=pytest.mark.slow),
        pytest.param({"depth": 200, "stem": "imagenet"}, marks=pytest.mark.slow),
    ],
)
def test_finds_what_was_built(options):
    found = recognise(shapes_of(**options)).options()
    assert found == {"width": 1, "sk_ratio": 0, "se_ratio": 0, **options}


@pytest.mark.parametrize(
    "name",
    [
        "r18_cifar",
        "r18_imagenet",
        "r18_w2_cifar",
        "r18_se_cifar",
        "r50_cifar",
        "r50_sk_imagenet",
    ],
)
def test_finds_the_recorded_networks(golden, name):
    recorded = json.loads((golden / "resnet" / name / "variables.json").read_text())
    found = recognise({v["name"]: v["shape"] for v in recorded["variables"]})
    assert found.options() == {
        "depth": recorded["resnet_depth"],
        "width": recorded["width_multiplier"],
        "stem": "cifar" if recorded["cifar_stem"] else "imagenet",
        "sk_ratio": recorded["sk_ratio"],
        "se_ratio": recorded["se_ratio"],
    }


def test_says_what_it_is():
    found = Architecture(50, 2, "imagenet", 0.0625, 0.0)
    assert str(found) == "ResNet-50, width 2, imagenet stem, sk_ratio 0.0625"


@pytest.mark.parametrize(
    "damage", ["no kernels", "a gap", "one block less", "odd width"]
)
def test_refuses_a_network_that_is_not_published(damage):
    shapes = shapes_of(depth=18, stem="cifar")
    if damage == "no kernels":
        shapes = {"base_model/dense/kernel": (3, 4)}
    elif damage == "a gap":
        del shapes["base_model/conv2d_7/kernel"]
    elif damage == "one block less":
        del shapes["base_model/conv2d_20/kernel"]
        del shapes["base_model/conv2d_19/kernel"]
    else:
        shapes["base_model/conv2d/kernel"] = (3, 3, 3, 48)
    with pytest.raises(UserError, match="not hold a published ResNet"):
        recognise(shapes)
