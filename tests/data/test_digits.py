import numpy as np
import pytest
import tensorflow as tf
from sklearn.datasets import load_digits

from sslkit.data import data
from sslkit.errors import UserError


def everything(source):
    return list(source.read(tf.data.Dataset.range(source.size)).as_numpy_iterator())


def test_splits_are_stratified_and_complete():
    digits = data(name="digits")
    train, test = digits.source("train"), digits.source("test")
    assert (train.size, test.size) == (1437, 360)
    assert train.classes == test.classes == 10
    assert train.label_names == tuple("0123456789")
    labels = [e["label"] for e in everything(test)]
    assert np.bincount(labels).tolist() == [36] * 10
    # Together they are the whole file, each pixel scaled from 0..16 to 0..255.
    found = sorted(
        (int(e["label"]), e["image"].tobytes())
        for e in everything(train) + everything(test)
    )
    raw = load_digits()
    scaled = np.round(raw.images * 255 / 16).astype(np.uint8)
    wanted = sorted(
        (int(label), np.repeat(image[..., None], 3, -1).tobytes())
        for label, image in zip(raw.target, scaled, strict=True)
    )
    assert found == wanted


def test_reads_in_the_order_asked_for():
    source = data(name="digits").source("train")
    asked = [5, 1400, 0, 5]
    indices = tf.data.Dataset.from_tensor_slices(tf.constant(asked, tf.int64))
    read = list(source.read(indices))
    assert [int(e["index"]) for e in read] == asked
    assert read[0]["image"].dtype == tf.uint8
    assert read[0]["image"].shape == (8, 8, 3)
    np.testing.assert_array_equal(read[0]["image"], read[3]["image"])


def test_sources_are_opened_once():
    digits = data(name="digits")
    assert digits.source("train") is digits.source("train")


def test_unknown_split():
    with pytest.raises(UserError, match="digits has no split 'val'; it has train and"):
        data(name="digits", test="val").source("test")


def test_diagnose_finds_nothing_wrong():
    assert data(name="digits").source("test").diagnose() == []
