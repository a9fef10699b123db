"""Starting a run from a published checkpoint."""

from __future__ import annotations

import re
import shutil

import numpy as np
import pytest
import tensorflow as tf
from nn.published import weight

from sslkit.api import UserError
from sslkit.checkpoints import write
from sslkit.objectives.supervised import Supervised
from sslkit.published.importing import Value
from sslkit.training.initialize import initialize

LINEAR = r"(?!global_step|(?:.*/|^)Momentum|head)"
FINETUNE = r"(?!global_step|(?:.*/|^)Momentum|head_supervised)"


@pytest.fixture
def rewritten(published_checkpoint, contents, tmp_path):
    """Writes a changed copy of the recorded checkpoint; returns its prefix."""

    def make(change):
        values = contents(published_checkpoint)
        change(values)
        prefix = str(tmp_path / "changed")
        write({name: Value(value) for name, value in values.items()}, prefix)
        return prefix

    return make


def test_features_are_the_published_ones(make_state, golden, published_checkpoint):
    linear = make_state(Supervised, classes=10, fine_tune_after_block=4)
    said = initialize(linear.table, published_checkpoint, ["encoder/"])
    digest = np.load(golden / "resnet" / "r18_cifar" / "digest.npz")
    found = linear.objective.encoder(tf.constant(digest["input"]), training=False)
    stride = int(digest["eval/final_avg_pool|stride"])
    want = digest["eval/final_avg_pool|sample"]
    np.testing.assert_allclose(
        found.numpy().ravel()[::stride][: want.size], want, atol=1e-4
    )
    # 11,163,328 kernels, and 4 numbers for each of 4,864 normalised channels.
    assert re.search(r"encoder +base_model +105 +11,182,784 +encoder\n", said)
    assert re.search(r"supervised head .* 2 +5,130 +\(not asked for\)", said)
    assert re.search(r"projection head .* 14 .*\(not in this run\)", said)
    assert int(linear.step.numpy()) == 0


def test_a_folder_means_its_latest_checkpoint(make_table, published_checkpoint):
    folder = published_checkpoint.rpartition("/")[0]
    assert "model.ckpt-1234" in initialize(make_table(), folder, ["encoder/"])


@pytest.mark.parametrize(("schema", "with_head"), [(LINEAR, False), (FINETUNE, True)])
def test_the_published_schemas_mean_the_same(
    make_table, published_checkpoint, schema, with_head
):
    table = make_table()
    initialize(table, published_checkpoint, [], schema)
    changed = {name.split("/")[0] for name, v in table.items() if np.any(v.numpy())}
    assert changed == {"encoder", *(["projection"] if with_head else [])}
    kernel = table["encoder/stem/conv/kernel"]
    np.testing.assert_array_equal(
        kernel.numpy(), weight("base_model/conv2d/kernel", kernel.shape)
    )


def test_a_head_of_simclr_fits_too(make_table, rewritten):
    def rename(values):
        for name in list(values):
            if name.startswith("head_contrastive_instance"):
                values[name.replace("_instance", "")] = values.pop(name)

    table = make_table()
    initialize(table, rewritten(rename), ["encoder/", "projection/"])
    name = "head_contrastive_instance/nl_2/dense/kernel"
    kernel = table["projection/layer_2/dense/kernel"].numpy()
    np.testing.assert_array_equal(kernel, weight(name, kernel.shape))


@pytest.mark.parametrize(
    ("encoder", "said"),
    [
        (
            {"depth": 50, "stem": "cifar"},
            "holds ResNet-18, width 1, cifar stem; this run's encoder is ResNet-50, "
            r"width 1, cifar stem. Bind backbones.resnet.depth = 18, or",
        ),
        pytest.param(
            {"depth": 50, "sk_ratio": 0.0625, "stem": "imagenet"},
            r"encoder is ResNet-50, width 1, imagenet stem, sk_ratio 0.0625\. Bind .*"
            r"depth = 18, .*stem = 'cifar', .*sk_ratio = 0.0, or",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_another_network_is_refused(make_table, published_checkpoint, encoder, said):
    with pytest.raises(UserError, match=said):
        initialize(make_table(**encoder), published_checkpoint, ["encoder/"])


def drop(prefix):
    def change(values):
        for name in [name for name in values if name.startswith(prefix)]:
            del values[name]

    return change


def put(name, shape):
    return lambda values: values.update({name: np.zeros(shape, "float32")})


@pytest.mark.parametrize(
    ("change", "patterns", "schema", "said"),
    [
        (
            drop("head_contrastive"),
            ["encoder/", "projection/"],
            None,
            r"has no projection head \(head_contrastive_instance/…\), and this run "
            r"restores projection/layer_0/dense/kernel and 13 more .* It has: encoder, "
            "optimizer slots, step, supervised head",
        ),
        (
            drop("base_model/batch_normalization_4/beta"),
            ["encoder/"],
            None,
            "lacks 1 of 105 .*base_model/batch_normalization_4/beta, which is "
            r"encoder/group_1/block_1/residual_1/norm/beta here",
        ),
        (
            put("base_model/batch_normalization_4/beta", (65,)),
            ["encoder/"],
            None,
            r"batch_normalization_4/beta has shape \(65,\) there; encoder/group_1.* "
            r"has shape \(64,\) here",
        ),
        (
            put("base_model/batch_normalization_21/beta", (3,)),
            ["encoder/"],
            None,
            r"1 variables that have no place .* base_model/batch_normalization_21/beta "
            r"of shape \(3,\)",
        ),
        (put("new/thing", (3,)), [], FINETUNE, "no place in this run, first new/thing"),
        (
            put("x", ()),
            [],
            "nothing",
            "variable_schema 'nothing' matches the beginning",
        ),
    ],
)
def test_one_message_names_both_sides(
    make_table, rewritten, change, patterns, schema, said
):
    table = make_table()
    with pytest.raises(UserError, match=said):
        initialize(table, rewritten(change), patterns, schema)
    assert not any(np.any(value.numpy()) for value in table.values())


def test_no_checkpoint(make_table, tmp_path):
    with pytest.raises(UserError, match="there is no checkpoint at"):
        initialize(make_table(), str(tmp_path / "none"), ["encoder/"])


@pytest.mark.parametrize("part", [".index", ".data-00000-of-00001"])
def test_truncated(make_table, published_checkpoint, tmp_path, part):
    prefix = str(tmp_path / "cut")
    for suffix in (".index", ".data-00000-of-00001"):
        shutil.copyfile(published_checkpoint + suffix, prefix + suffix)
    with open(prefix + part, "r+b") as file:
        file.truncate(100)
    with pytest.raises(
        UserError, match=rf"{prefix} is (damaged|not a readable checkpoint)"
    ):
        initialize(make_table(), prefix, ["encoder/"])


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["weights/w"], r"holds 1 variables such as weights/w\. sslkit reads"),
        (["_CHECKPOINTABLE_OBJECT_GRAPH"], "object-based checkpoint of TensorFlow 2"),
    ],
)
def test_another_format(make_table, tmp_path, names, said):
    prefix = str(tmp_path / "other")
    write({name: Value(np.zeros(2, "float32")) for name in names}, prefix)
    with pytest.raises(UserError, match=said):
        initialize(make_table(), prefix, ["encoder/"])


def test_a_schema_is_for_published_checkpoints(make_table, tmp_path):
    prefix = str(tmp_path / "own")
    write(make_table() | {"step": Value(np.int64(3))}, prefix)
    with pytest.raises(
        UserError, match=r"variable_schema is for .* Use train\.restore"
    ):
        initialize(make_table(), prefix, [], LINEAR)
