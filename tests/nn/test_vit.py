"""The vision transformer, beyond the laws of backbones."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from sslkit.errors import UserError
from sslkit.nn import ViT
from sslkit.nn.vit import position_codes

SMALL = {"width": 8, "depth": 1, "heads": 2, "patch": 4}
IMAGES = np.random.default_rng(0).uniform(size=[2, 8, 12, 3]).astype(np.float32)


def norm(x, layer):
    x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-6)
    return x * layer.gamma.numpy() + layer.beta.numpy()


def dense(x, layer):
    return x @ layer.kernel.numpy() + layer.bias.numpy()


def test_of_one_block_by_hand():
    """Loops over images, tokens and heads, from the formulas."""
    keras.utils.set_random_seed(3)
    vit = ViT(**SMALL, name="vit")
    vit.build((2, 8, 12, 3))
    draw = np.random.default_rng(1)
    for weight in vit.weights:
        weight.assign(draw.normal(0, 0.3, weight.shape))
    block = vit.blocks[0]
    for image, found in zip(IMAGES, vit(IMAGES, training=True).numpy(), strict=True):
        tokens = [vit.token.numpy()[0, 0]]
        for row in range(2):
            for column in range(3):
                patch = image[4 * row : 4 * row + 4, 4 * column : 4 * column + 4]
                code = []
                for place in (column, row):
                    angles = [place / 10_000 ** (n / 2) for n in range(2)]
                    code += [*np.sin(angles), *np.cos(angles)]
                kernel = vit.patches.kernel.numpy()
                projected = np.tensordot(patch, kernel, 3) + vit.patches.bias.numpy()
                tokens.append(projected + np.array(code))
        x = np.stack(tokens)
        query, key, value = np.split(dense(norm(x, block.norm_1), block.qkv), 3, axis=1)
        heads = []
        for head in (slice(0, 4), slice(4, 8)):
            scores = np.exp(query[:, head] @ key[:, head].T / 2)
            heads.append(scores / scores.sum(1, keepdims=True) @ value[:, head])
        x = x + dense(np.concatenate(heads, axis=1), block.out)
        hidden = tf.nn.gelu(dense(norm(x, block.norm_2), block.up)).numpy()
        x = x + dense(hidden, block.down)
        np.testing.assert_allclose(found, norm(x, vit.norm)[0], rtol=1e-3, atol=1e-4)


def test_takes_views_of_several_sizes():
    vit = ViT(**SMALL, pool="mean")
    large = vit(tf.zeros([2, 16, 16, 3]), training=True)
    small = vit(tf.zeros([3, 8, 8, 3]), training=True)
    assert large.shape == (2, 8)
    assert small.shape == (3, 8)
    assert "vit/token" not in {variable.path for variable in vit.variables}


def test_codes_tell_all_places_apart():
    codes = position_codes(14, 14, 384)
    distances = np.linalg.norm(codes[:, None] - codes[None], axis=-1)
    assert distances[~np.eye(196, dtype=bool)].min() > 1


def test_frozen_patches_stay_as_they_are_drawn():
    vit = ViT(**SMALL, freeze_patches=True, name="vit")
    vit(IMAGES, training=True)
    frozen = [v.path for v in vit.variables if not v.trainable]
    assert frozen == ["vit/patches/kernel", "vit/patches/bias"]


def test_vit_s16_has_as_many_weights_as_published():
    """21,665,664 as timm counts ViT-S/16 without a classifier, less its 197 x 384
    learned position codes."""
    vit = ViT(name="vit")
    vit.build((None, 224, 224, 3))
    assert vit.count_params() == 21_665_664 - 197 * 384


def test_refuses():
    with pytest.raises(UserError, match="width is 10 and heads is 2"):
        ViT(width=10, heads=2)
    with pytest.raises(
        UserError, match=r"images are 10 x 10 pixels, which is not a multiple"
    ):
        ViT(**SMALL)(tf.zeros([1, 10, 10, 3]), training=False)
