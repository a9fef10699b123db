"""FNC's views: groups, published defaults, RandAugment on and off."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
import tensorflow as tf

from sslkit.api import UserError
from sslkit_fnc.views import FNCViews

IMAGE = np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8)
SEED = np.array([1, 2], np.int32)


def test_defaults_are_the_published_ones():
    parameters = inspect.signature(FNCViews).parameters.values()
    assert {p.name: p.default for p in parameters} == {
        "size": 224,
        "views": 2,
        "support": 8,
        "strength": 1.0,
        "area_min": 0.08,
        "flip": True,
        "randaugment_layers": 2,
        "randaugment_magnitude": 7,
        "translate": 100,
        "cutout": 40,
        "gray": 0.2,
        "blur": True,
        "kernel": "legacy",
        "placement": "auto",
    }


def test_views_match_groups():
    # Operations on colours change no shape, and take seconds to compile.
    augmentation = FNCViews(size=24, strength=0.0, randaugment_layers=0)
    assert augmentation.groups == {"instance": (2, 24), "support": (8, 24)}
    views = augmentation.example(IMAGE, SEED)
    assert {name: tuple(stack.shape) for name, stack in views.items()} == {
        "instance": (2, 24, 24, 3),
        "support": (8, 24, 24, 3),
    }


def test_no_support_no_group():
    assert FNCViews(support=0).groups == {"instance": (2, 224)}


def bare(**changed) -> FNCViews:
    """Views that are the image itself apart from RandAugment."""
    arguments = {"strength": 0.0, "area_min": 1.0, "flip": False, "gray": 0.0}
    arguments["placement"] = "host"  # so that `example` does all steps
    return FNCViews(**{"size": 30, "support": 4, **arguments, **changed})


@pytest.fixture
def eagerly():
    """Compiles nothing, which takes seconds."""
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


def test_no_layers_no_randaugment():
    image = IMAGE[:, :30]
    views = bare(randaugment_layers=0).example(image, SEED)
    np.testing.assert_array_equal(views["support"], np.stack([image] * 4))


def test_randaugment_changes_most_views(eagerly):
    image = IMAGE[:, :30]
    views = bare(support=20).example(image, SEED)["support"].numpy()
    changed = [np.any(view != image) for view in views]
    assert np.mean(changed) > 0.8


def test_shift_and_cut_scale_with_the_view(eagerly):
    # A 30-pixel view that is shifted by the published 70 pixels is empty.
    def empty(**distances):
        views = bare(support=30, **distances).example(IMAGE[:, :30], SEED)
        return np.mean(np.ptp(views["support"].numpy(), axis=(1, 2, 3)) == 0)

    assert empty() > 0.1
    assert empty(translate=13, cutout=5) == 0


def test_bad_arguments_are_refused():
    with pytest.raises(UserError, match=r"magnitude is 12; it must be .* \[0, 10\]"):
        FNCViews(randaugment_magnitude=12)
    with pytest.raises(UserError, match="layers is -1"):
        FNCViews(randaugment_layers=-1)
    with pytest.raises(UserError, match="support is -2"):
        FNCViews(support=-2)
