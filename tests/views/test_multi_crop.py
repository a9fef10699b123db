"""Views of two sizes, with options of their own."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from views.test_augmentations import host_batch, photo

from sslkit.api import Views
from sslkit.views import MultiCrop


def multi_crop(**changed) -> MultiCrop:
    return MultiCrop(**{"size": 24, "local": 3, "local_size": 20, **changed})


PLAIN = {
    "flip": False,
    "jitter": (0.0, 0.0, 0.0, 0.0),
    "gray": 0.0,
    "blur": (0.0, 0.0),
    "local_blur": 0.0,
    "solarize": (0.0, 0.0),
}


@pytest.mark.slow
def test_both_placements_make_the_same_views_of_two_sizes():
    kind, found = "GPU", []
    for placement in ("host", "device"):
        colours = {"jitter": PLAIN["jitter"], "gray": 0.5, "placement": placement}
        augmentation = multi_crop(**colours).on(kind)
        views, seeds = host_batch(augmentation, 12)
        out = augmentation.batch(
            views, step_seed=tf.constant([1, 2]), example_seeds=seeds
        )
        assert {name: tuple(value.shape) for name, value in out.items()} == {
            "instance": (2, 12, 24, 24, 3),
            "local": (3, 12, 20, 20, 3),
        }
        found.append(out)
    for name in ("instance", "local"):
        # Half a step of 8 bits, by which the host rounds; solarised values that cross
        # the middle by it differ by no more.
        np.testing.assert_allclose(found[0][name], found[1][name], atol=0.6 / 255)


def test_views_of_another_size_do_not_change_the_large_ones():
    """They are numbered after them, and seeds depend on the number."""
    seed = tf.constant([4, 9])
    with_local, alone = (
        multi_crop(local=n, **PLAIN, placement="device") for n in (3, 0)
    )
    assert set(alone.groups) == {"instance"}
    np.testing.assert_array_equal(
        with_local.example(photo(), seed)["instance"],
        alone.example(photo(), seed)["instance"],
    )
    coloured = [multi_crop(local=n, blur=(0, 0), solarize=(0, 0)) for n in (3, 0)]
    with_local, alone = (augmentation.drawn(seed)[:2] for augmentation in coloured)
    assert with_local == alone != [[], []]


def test_crops_take_their_groups_share_of_the_image():
    """A ramp from left to right: the range of a crop is its width."""
    ramp = tf.constant(
        np.broadcast_to(np.arange(240)[None, :, None], (240, 240, 3)), tf.uint8
    )
    many = multi_crop(
        area=(0.5, 1.0), local_area=(0.05, 0.1), **PLAIN, local=8, placement="host"
    )
    views, _ = host_batch(many, 40, ramp)
    width = {
        name: np.ptp(views[name].numpy().astype(int), axis=(2, 3, 4)) / 240
        for name in views
    }
    # Shares of the area between 0.5 and 1, sides 3:4 to 4:3; the bicubic kernel blurs
    # the ends.
    assert width["instance"].min() > (0.5 * 3 / 4) ** 0.5 - 0.06
    assert width["local"].max() < (0.1 * 4 / 3) ** 0.5 + 0.02
    assert width["local"].min() > (0.05 * 3 / 4) ** 0.5 - 0.06


def test_each_view_is_blurred_and_solarised_with_its_own_probability():
    """Counted over 400 images of a bright pixel on dark ground."""
    odds = {"blur": (1.0, 0.1), "local_blur": 0.5, "solarize": (0.0, 0.2)}
    views = multi_crop(size=40, local_size=40, placement="host", **{**PLAIN, **odds})
    image = np.full((5, 400, 40, 40, 3), 30, np.uint8)
    image[:, :, 20, 20] = 60
    seeds = tf.stack([tf.range(400), tf.zeros(400, tf.int32)], axis=1)
    out = views.batch(
        Views({(("instance", 2), ("local", 3)): tf.constant(image)}),
        # A step without a sigma below 0.7.
        step_seed=tf.constant([3, 8]),
        example_seeds=seeds,
    )
    found = np.concatenate([out["instance"].numpy(), out["local"].numpy()])
    blurred = found[:, :, 20, 20, 0] < 59.5 / 255
    # Standard errors 0.015 and 0.025.
    off = np.abs(blurred.mean(1) - [1.0, 0.1, 0.5, 0.5, 0.5])
    assert np.all(off <= [0, 0.06, 0.1, 0.1, 0.1])
    # Solarisation inverts a ground in the upper half.
    bright = np.full((5, 400, 40, 40, 3), 200, np.uint8)
    out = views.batch(
        Views({(("instance", 2), ("local", 3)): tf.constant(bright)}),
        step_seed=tf.constant([3, 7]),
        example_seeds=seeds,
    )
    middle = np.concatenate([out["instance"], out["local"]])[:, :, 20, 20, 0]
    turned = np.abs(middle - 55 / 255) < 1e-5
    assert np.all(turned | (np.abs(middle - 200 / 255) < 1e-5))
    off = np.abs(turned.mean(1) - [0, 0.2, 0, 0, 0])
    assert np.all(off <= [0, 0.08, 0, 0, 0])


def test_drawn_says_which_views_are_blurred_and_solarised():
    views = multi_crop(**{**PLAIN, "blur": (1.0, 0.0), "solarize": (0.0, 1.0)}, size=40)
    assert views.drawn(tf.constant([1, 2])) == [["blur"], ["solarize"], [], [], []]
