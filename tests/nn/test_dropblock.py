"""DropBlock: what it drops, how much, and when."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import tensorflow as tf

from sslkit import randomness
from sslkit.errors import UserError
from sslkit.nn import DropBlock, ResNet, full_dtype
from sslkit.testing import ShortRun, TinyBackbone, laws_of
from sslkit_simclr.objective import SimCLR

STEP = (3, 4)
SEEDS = np.array([[9, row] for row in range(16)], np.int32)


def layer(keep_prob=0.9, size=3, name="drop"):
    made = DropBlock(keep_prob=keep_prob, size=size, name=name)
    made.build((None, None, None, None))
    return made


def apply(drop, x, *, step=STEP, training=True):
    with randomness.drawing(step, tf.constant(SEEDS)):
        return drop(tf.constant(x, tf.float32), training=training).numpy()


def ones(side, rows=32, channels=8):
    return np.ones([rows, side, side, channels], np.float32)


def opened(dropped, size):
    """Keeps of each map only whole squares: erosion, then dilation."""
    side = dropped.shape[1] - size + 1
    shifts = list(itertools.product(range(size), repeat=2))
    whole = np.all([dropped[:, i : i + side, j : j + side] for i, j in shifts], axis=0)
    kept = np.zeros_like(dropped)
    for i, j in shifts:
        kept[:, i : i + side, j : j + side] |= whole
    return kept


@pytest.mark.parametrize(("side", "size"), [(8, 3), (7, 4), (5, 1)])
def test_drops_whole_squares_inside_the_map(side, size):
    dropped = apply(layer(0.7, size), ones(side)) == 0
    assert dropped.any()
    np.testing.assert_array_equal(opened(dropped, size), dropped)


@pytest.mark.parametrize(
    ("side", "size", "keep_prob"), [(8, 3, 0.9), (14, 7, 0.9), (4, 7, 0.8), (6, 1, 0.5)]
)
def test_drops_as_much_as_the_paper_says(side, size, keep_prob):
    out = apply(layer(keep_prob, size), ones(side, channels=64))
    size = min(size, side)
    gamma = (1 - keep_prob) * side**2 / size**2 / (side - size + 1) ** 2
    # How many squares cover each pixel.
    line = np.convolve(np.ones(side - size + 1), np.ones(size))
    wanted = ((1 - gamma) ** np.outer(line, line)).mean()
    share = (out != 0).mean(axis=(1, 2))
    error = share.std() / np.sqrt(share.size)
    assert abs(share.mean() - wanted) < 4 * error
    assert keep_prob - 4 * error <= share.mean() < 1


def test_kept_values_are_scaled_up():
    out = apply(layer(0.7), ones(8))
    kept = out[out != 0]
    np.testing.assert_allclose(kept, 1 / (out != 0).mean(), rtol=1e-6)
    np.testing.assert_allclose(out.mean(), 1, rtol=1e-6)


def test_drops_whole_channels_of_a_small_map():
    out = apply(layer(0.5, 7), ones(4))
    assert {*np.unique((out != 0).mean(axis=(1, 2)))} == {0.0, 1.0}


def test_nothing_is_left_of_a_map_that_is_dropped_whole():
    assert not apply(layer(1e-6, 4), ones(4)).any()


def test_layers_views_and_steps_drop_differently():
    first, second = layer(), layer(name="other")
    out = apply(first, ones(8))
    np.testing.assert_array_equal(apply(first, ones(8)), out)
    assert np.any(apply(second, ones(8)) != out)
    assert np.any(apply(first, ones(8), step=(3, 5)) != out)
    views = out.reshape(2, 16, 8, 8, 8)
    assert np.any((views[0] == 0) != (views[1] == 0))


def test_does_nothing_in_inference_and_outside_a_step():
    x = ones(8)
    np.testing.assert_array_equal(apply(layer(0.5), x, training=False), x)
    np.testing.assert_array_equal(layer(0.5)(x, training=True), x)


def test_gradient_flows_through_what_is_kept():
    x = tf.constant(ones(8))
    with randomness.drawing(STEP, tf.constant(SEEDS)), tf.GradientTape() as tape:
        tape.watch(x)
        out = layer(0.7)(x, training=True)
    np.testing.assert_array_equal(tape.gradient(out, x), out)


class Dropping(TinyBackbone):
    """A tiny backbone that drops twice."""

    def __init__(self, *, name="tiny"):
        super().__init__(name=name)
        self.drops = [layer(0.6, 2, name=f"drop_{number}") for number in range(2)]

    def build(self, shape):
        super().build(shape)
        for drop in self.drops:
            drop.build((None, None, None, None))

    def call(self, images, *, training):
        x = self.layer(images, training=training)
        for drop in self.drops:
            x = drop(x, training=training)
        return tf.reduce_mean(tf.cast(x, full_dtype(self)), [1, 2])


def judged(backbone):
    return laws_of(SimCLR, backbone=backbone, projection_layers=1, projection_dim=4)


# On two replicas it is tested by the laws of backbones, with the ResNet.
REPLICAS = {
    "replicas_do_not_change_the_result",
    "replicas_stay_equal",
    "four_replicas_do_the_same_as_two",
}
# Beside a resumed run, which draws the same, one that is compiled takes 4 s.
SLOW = {*REPLICAS, "jit_does_not_change_the_result"}
LAWS = {
    *REPLICAS,
    "jit_does_not_change_the_result",
    "does_not_retrace",
    "resumes_bit_for_bit",
    "batch_order_does_not_matter",
    "bfloat16_stays_close",
}


@pytest.mark.parametrize(
    "law",
    [
        pytest.param(
            law, id=law.name, marks=pytest.mark.slow if law.name in SLOW else ()
        )
        for law in judged(Dropping)
        if law.name in LAWS
    ],
)
def test_law(law):
    law()


def test_it_drops_in_a_training_step():
    subjects = [judged(backbone)[0].subject for backbone in (TinyBackbone, Dropping)]
    losses = [ShortRun(subject.make).run(0, 1).losses for subject in subjects]
    assert losses[0] != losses[1]


def test_acts_in_the_last_two_groups():
    encoder = ResNet(depth=50, dropblock_keep_prob=0.8, dropblock_size=5)
    with tf.Graph().as_default():
        encoder.build((None, 32, 32, 3))
    drops = [x for x in encoder._flatten_layers() if isinstance(x, DropBlock)]
    assert len(drops) == 4 * (6 + 3)
    assert {drop.path.split("/")[1] for drop in drops} == {"group_3", "group_4"}
    assert len({drop.path for drop in drops}) == len(drops)
    for drop in drops:
        share = 0.8 if "group_4" in drop.path else 0.95
        assert drop.keep_prob == pytest.approx(share)
        assert drop.size == 5
    assert encoder.describe().endswith(", dropblock_keep_prob 0.8, dropblock_size 5")


def test_a_network_without_it_has_the_same_variables():
    paths = []
    for keep_prob in (1.0, 0.9):
        encoder = ResNet(depth=18, dropblock_keep_prob=keep_prob)
        encoder.build((None, 8, 8, 3))
        paths.append([variable.path for variable in encoder.variables])
    assert paths[0] == paths[1]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            {"dropblock_keep_prob": 0},
            r"keep_prob is 0; it must be a number in \(0, 1\]",
        ),
        ({"dropblock_keep_prob": 1.1}, r"dropblock_keep_prob is 1\.1; it must be"),
        ({"dropblock_size": 0}, "dropblock_size is 0; it must be a whole number"),
        ({"dropblock_size": 2.5}, r"dropblock_size is 2\.5"),
    ],
)
def test_refuses(options, said):
    with pytest.raises(UserError, match=said):
        ResNet(**options)
