"""Labels of TFDS datasets that are not of the usual kind."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

from sslkit.data import data
from sslkit.errors import UserError

Features = tfds.features


def prepare(root, key, kind, labels):
    """Prepares a dataset of one split with these labels."""
    features = Features.FeaturesDict({"image": Features.Image(), key: kind})
    info = tfds.core.DatasetInfo(
        builder=tfds.core.dataset_info.DatasetIdentity(
            name="odd",
            version=tfds.core.Version("1.0.0"),
            data_dir=str(root / "odd" / "1.0.0"),
            module_name="",
        ),
        features=features,
        description="odd",
    )
    folder = root / "odd" / "1.0.0"
    folder.mkdir(parents=True)
    shard = folder / "odd-train.tfrecord-00000-of-00001"
    with tf.io.TFRecordWriter(str(shard)) as writer:
        for number, label in enumerate(labels):
            image = np.full([2, 2, 3], number, np.uint8)
            writer.write(
                features.serialize_example(
                    features.encode_example({"image": image, key: label})
                )
            )
    info.set_splits(
        tfds.core.SplitDict(
            [
                tfds.core.SplitInfo(
                    name="train",
                    shard_lengths=[len(labels)],
                    num_bytes=shard.stat().st_size,
                    filename_template=tfds.core.ShardedFileTemplate(
                        data_dir=folder,
                        dataset_name="odd",
                        split="train",
                        filetype_suffix="tfrecord",
                    ),
                )
            ]
        )
    )
    info.write_to_directory(folder)


def opened(root, **options):
    found = data(
        name="odd", data_dir=str(root), cache_dir=str(root / "cache"), **options
    )
    return found.source("train")


def read(source):
    rows = source.read(tf.data.Dataset.range(source.size)).as_numpy_iterator()
    return [int(row["label"]) for row in rows]


NUMBERS = Features.Scalar(dtype=np.int64)


@pytest.mark.parametrize("key", ["label", "labels"])
def test_plain_numbers(tmp_path, key):
    prepare(tmp_path, key, NUMBERS, [0, 2, 1, 0, -1, 2])
    source = opened(tmp_path)
    assert source.classes == 3
    assert source.label_names == ()
    assert read(source) == [0, 2, 1, 0, -1, 2]


def test_text_is_numbered_in_sorted_order_and_kept(tmp_path):
    prepare(tmp_path, "label", Features.Text(), ["dog", "cat", "dog", "äsch"])
    source = opened(tmp_path, label="label")
    assert source.label_names == ("cat", "dog", "äsch")
    assert read(source) == [1, 0, 1, 2]
    (kept,) = (tmp_path / "cache" / "labels").iterdir()
    kept.write_text('[4, 2, 0, ["636174", "646f67"]]')
    assert opened(tmp_path, label="label").label_names == ("cat", "dog")
    assert read(opened(tmp_path, label="label")) == [1, 0, 1, -1]


@pytest.mark.parametrize(
    ("kind", "labels", "why"),
    [
        (NUMBERS, [10, 11, 12, 13], "'label' would give 14 classes for 4 images"),
        (NUMBERS, [-5, 0, 1, 1], "'label' has the value -5, but classes are"),
        (Features.Text(), list("abcd"), "'label' would give 4 classes for 4 images"),
        (Features.Scalar(dtype=np.float32), [0.5] * 4, "is not one class per image"),
        (Features.Tensor(shape=[2], dtype=np.int64), [[0, 1]] * 4, "is not one class"),
    ],
)
def test_the_reason_why_a_feature_is_not_a_label_is_said(tmp_path, kind, labels, why):
    prepare(tmp_path, "label", kind, labels)
    source = opened(tmp_path)
    assert source.classes is None
    assert read(source) == [-1] * 4
    reason = source.why_unlabelled()
    assert why in reason
    assert "Its features: image (Image), label (" in reason
    assert "name the label with data.label" in reason


def test_another_name_can_be_given(tmp_path):
    prepare(tmp_path, "species", NUMBERS, [0, 1, 1, 3])
    assert "species (int64)" in opened(tmp_path).why_unlabelled()
    source = opened(tmp_path, label="species")
    assert source.classes == 4
    assert read(source) == [0, 1, 1, 3]
    with pytest.raises(UserError, match=r"data.label is 'kind', and the features are"):
        opened(tmp_path, label="kind")
    with pytest.raises(UserError, match=r"data.label is 'image', which is not one cla"):
        opened(tmp_path, label="image")


def test_a_label_is_refused_if_there_are_no_features(tmp_path):
    with pytest.raises(UserError, match=r"data.label is 'x', and digits has no feat"):
        data(name="digits", label="x")
