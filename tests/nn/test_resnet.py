"""ResNet: options, building, and properties that do not depend on the weights."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from sslkit.errors import UserError
from sslkit.nn import ResNet
from sslkit.nn.convolution import Convolution


@pytest.fixture(scope="module")
def images():
    return tf.constant(np.random.default_rng(0).uniform(size=(4, 16, 16, 3)), "float32")


@pytest.fixture(scope="module")
def network(images):
    keras.utils.set_random_seed(5)
    encoder = ResNet(depth=18)
    encoder(images, training=True)
    for variable in encoder.variables:
        if variable.name == "gamma":
            variable.assign(tf.ones_like(variable))
    return encoder


@pytest.mark.parametrize(
    ("options", "dim"),
    [
        ({"depth": 18}, 512),
        ({"depth": 34, "width": 2}, 1024),
        ({}, 2048),
        ({"depth": 152, "width": 3, "sk_ratio": 0.0625}, 6144),
    ],
)
def test_feature_dim_is_known_before_variables(options, dim):
    encoder = ResNet(**options)
    assert encoder.feature_dim == dim
    assert encoder.variables == []


@pytest.mark.parametrize(
    ("depth", "millions"),
    # The known sizes, 11.69, 25.56 and 64.67 million, less the ImageNet classifier.
    [(18, 11.18), (50, 23.51), pytest.param(200, 62.62, marks=pytest.mark.slow)],
)
def test_size(depth, millions):
    encoder = ResNet(depth=depth, stem="imagenet")
    with tf.Graph().as_default():
        encoder.build((None, None, None, 3))
    count = sum(np.prod(v.shape) for v in encoder.trainable_variables)
    assert count / 1e6 == pytest.approx(millions, abs=0.01)


@pytest.mark.parametrize(
    ("side", "stem", "kernel", "stem_side"),
    [
        (32, "auto", 3, 32),
        (33, "auto", 7, 9),
        (32, "imagenet", 7, 8),
        (64, "cifar", 3, 64),
    ],
)
def test_stem_fits_the_images(side, stem, kernel, stem_side):
    encoder = ResNet(depth=18, stem=stem)
    shape = (1, side, side, 3)
    found = encoder.endpoints(tf.zeros(shape), training=False)
    assert encoder.stem.conv.kernel.shape[0] == kernel
    assert found["initial_max_pool"].shape == (1, stem_side, stem_side, 64)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"depth": 51}, "depth is 51; it must be 18, 34, 50, 101, 152 or 200"),
        ({"width": 0}, "width is 0"),
        ({"width": 1.5}, "width is 1.5"),
        ({"stem": "mnist"}, "stem is 'mnist'; it must be 'auto', 'cifar' or"),
        ({"se_ratio": -1}, "se_ratio is -1"),
        ({"sk_ratio": 2}, "sk_ratio is 2"),
        ({"depth": 18, "sk_ratio": 0.1}, "choose a depth of"),
    ],
)
def test_refuses(options, said):
    with pytest.raises(UserError, match=said):
        ResNet(**options)


def test_says_what_it_is(network):
    assert network.describe() == (
        "ResNet-18, width 1, cifar stem (chosen by the image size)"
    )
    wide = ResNet(depth=18, width=2, stem="imagenet", se_ratio=0.25)
    with tf.Graph().as_default():
        wide.build((None, None, None, 3))
    assert wide.describe() == "ResNet-18, width 2, imagenet stem, se_ratio 0.25"


def test_auto_stem_needs_a_size():
    with pytest.raises(UserError, match=r"Bind resnet\.stem"):
        ResNet().build((None, None, None, 3))


def test_residual_branches_add_nothing_at_first():
    encoder = ResNet(depth=50, se_ratio=0.25)
    encoder.build((None, 32, 32, 3))
    silent = {
        v.path.removeprefix("resnet/")
        for v in encoder.variables
        if v.name == "gamma" and not np.any(v)
    }
    assert silent == {
        f"group_{group}/block_{block}/residual_3/norm/gamma"
        for group, blocks in enumerate((3, 4, 6, 3), start=1)
        for block in range(blocks)
    }


def test_kernels_start_with_unit_gain():
    keras.utils.set_random_seed(2)
    conv = Convolution(64, 3, name="conv")
    conv.build((None, None, None, 64))
    # 36864 draws: the deviation is known to 0.4% of itself. fan-in 3 * 3 * 64.
    assert np.std(conv.kernel) == pytest.approx(1 / 24, rel=0.02)
    # A normal distribution cut at two standard deviations, widened to keep its own.
    assert np.abs(conv.kernel).max() <= 2 / 0.8796 / 24 + 1e-6


def test_strided_padding_does_not_depend_on_the_size():
    """The outputs of a crop are those of the image, up to the crop's edge."""
    conv = Convolution(2, 3, stride=2, name="conv")
    image = tf.constant(np.random.default_rng(1).normal(size=(1, 9, 9, 3)), "float32")
    whole, crop = conv(image), conv(image[:, :8, :8])
    assert whole.shape[1:3] == (5, 5)
    # The same sums of 27 terms, perhaps in different blocks.
    np.testing.assert_allclose(crop[:, :3, :3], whole[:, :3, :3], atol=1e-5)


def test_inference_does_not_mix_images(network, images):
    order = [2, 0, 3, 1]
    features = network(images, training=False).numpy()
    shuffled = network(tf.gather(images, order), training=False).numpy()
    # Matrix products may block rows by their place: some float32 roundings.
    np.testing.assert_allclose(shuffled, features[order], rtol=1e-4, atol=1e-5)
    assert np.std(features, axis=0).max() > 1e-3


def test_call_is_the_last_endpoint(network, images):
    found = network.endpoints(images, training=False)
    np.testing.assert_array_equal(
        network(images, training=False), found["final_avg_pool"]
    )
    assert list(found) == [
        "initial_conv",
        "initial_max_pool",
        *(f"block_group{number}" for number in (1, 2, 3, 4)),
        "final_avg_pool",
    ]


def test_building_symbolically_moves_nothing():
    encoder = ResNet(depth=18)
    out = encoder(keras.KerasTensor((None, 8, 8, 3)), training=True)
    assert out.shape == (None, 512)
    for variable in encoder.variables:
        if variable.name == "moving_mean":
            assert not np.any(variable.numpy()), variable.path


def test_frozen_before_it_is_built():
    encoder = ResNet(depth=18)
    encoder.trainable = False
    encoder.build((None, 8, 8, 3))
    assert not any(variable.trainable for variable in encoder.variables)


def test_exports_for_inference(network, images, tmp_path):
    module = tf.Module()
    module.variables_ = [v.value for v in network.variables]
    module.encode = tf.function(
        lambda x: network(x, training=False),
        input_signature=[tf.TensorSpec((None, 16, 16, 3))],
    )
    tf.saved_model.save(module, str(tmp_path / "encoder"))
    loaded = tf.saved_model.load(str(tmp_path / "encoder"))
    served = loaded.encode(images)
    # The same kernels in a graph: some float32 roundings over 20 layers.
    np.testing.assert_allclose(
        served, network(images, training=False), rtol=1e-4, atol=1e-5
    )


def test_half_precision_is_close_and_returns_float32(network, images):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        half = ResNet(depth=18)
        half.build(images.shape)
    finally:
        keras.config.set_dtype_policy(before)
    for ours, theirs in zip(half.variables, network.variables, strict=True):
        ours.assign(theirs)
    found = half.endpoints(images, training=False)
    assert found["block_group4"].dtype == tf.bfloat16
    assert half(images, training=False).dtype == tf.float32
    want = network(images, training=False).numpy()
    # bfloat16 keeps 8 bits, 2^-8 a rounding, and the errors of 20 layers add up as
    # their root sum of squares: 0.02.
    error = np.linalg.norm(found["final_avg_pool"] - want) / np.linalg.norm(want)
    assert error < 0.02


def test_compiled_by_xla_is_the_same(network, images):
    compiled = tf.function(lambda x: network(x, training=False), jit_compile=True)
    np.testing.assert_allclose(
        compiled(images), network(images, training=False), rtol=1e-4, atol=1e-5
    )
