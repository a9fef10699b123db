"""SimCLR's views: groups, published defaults, what each argument switches."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
import tensorflow as tf

from sslkit.api import UserError, Views
from sslkit_simclr.views import SimCLRViews

IMAGE = np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8)
SEED = np.array([1, 2], np.int32)


def test_defaults_are_the_published_ones():
    parameters = inspect.signature(SimCLRViews).parameters.values()
    assert {p.name: p.default for p in parameters} == {
        "size": 224,
        "views": 2,
        "strength": 1.0,
        "area_min": 0.08,
        "flip": True,
        "gray": 0.2,
        "blur": True,
        "kernel": "legacy",
        "placement": "auto",
    }


def test_views_match_groups():
    # Operations on colours change no shape, and take a second to compile.
    augmentation = SimCLRViews(size=24, views=3, strength=0)
    assert augmentation.groups == {"instance": (3, 24)}
    views = augmentation.example(IMAGE, SEED)
    assert views["instance"].shape == (3, 24, 24, 3)
    assert views["instance"].dtype == tf.uint8


@pytest.mark.parametrize("blur", [True, False])
def test_blur_is_left_to_the_device(blur):
    augmentation = SimCLRViews(size=32, blur=blur, strength=0, placement="host")
    seeds = tf.stack([tf.range(8), tf.range(8)], axis=1)
    views = tf.map_fn(
        lambda seed: augmentation.example(IMAGE, seed)["instance"],
        seeds,
        fn_output_signature=tf.TensorSpec([2, 32, 32, 3], tf.uint8),
    )
    views = tf.transpose(views, [1, 0, 2, 3, 4])
    out = augmentation.batch(
        Views.of({"instance": views}), step_seed=SEED, example_seeds=seeds
    )
    # An unblurred view divides by 255 in float32 as numpy does in float64.
    changed = np.abs(out["instance"] - views / 255).max((2, 3, 4)) > 1e-6
    assert changed.any() == blur
    assert not changed.all()


def test_gray_always():
    augmentation = SimCLRViews(size=16, gray=1.0, strength=0, placement="host")
    views = augmentation.example(IMAGE, SEED)["instance"].numpy()
    assert np.ptp(views, axis=-1).max() == 0


def test_bad_arguments_are_refused():
    with pytest.raises(UserError, match="area"):
        SimCLRViews(area_min=0.0)
    with pytest.raises(UserError, match="views is 0; it must be a whole number, 1"):
        SimCLRViews(views=0)
