"""The features of a dataset in a file."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from sslkit.cli.main import main
from sslkit.data.digits import Digits
from sslkit.errors import UserError
from sslkit.evaluate.features import extract_source, frozen
from sslkit.export.embeddings import embed


def encode(images):
    return tf.reshape(images, [-1, 8 * 8 * 3])[:, ::7]


@pytest.fixture(scope="module")
def source():
    return Digits("test")


def check(found, want):
    np.testing.assert_array_equal(found["features"], want.features)
    np.testing.assert_array_equal(found["label"], want.label)
    np.testing.assert_array_equal(found["index"], want.index)
    assert found["features"].dtype == np.float32
    assert found["label"].dtype == np.int32


@pytest.mark.parametrize("limit", [None, 50])
def test_npz(source, tmp_path, limit):
    path = tmp_path / "new" / "out.npz"
    options = {"size": 8, "batch_size": 32, "limit": limit}
    rows = embed(frozen(encode), source, path, **options)
    want = extract_source(frozen(encode), source, **options)
    assert rows == len(want.label) == (limit or source.size)
    check(np.load(path), want)
    assert [file.name for file in path.parent.iterdir()] == ["out.npz"]


def test_tfrecord(source, tmp_path):
    path = tmp_path / "out.tfrecord"
    embed(frozen(encode), source, path, size=8, batch_size=32, limit=40)
    want = extract_source(frozen(encode), source, size=8, batch_size=32, limit=40)
    spec = {
        "features": tf.io.FixedLenFeature([want.features.shape[1]], tf.float32),
        "label": tf.io.FixedLenFeature([], tf.int64),
        "index": tf.io.FixedLenFeature([], tf.int64),
    }
    rows = [
        tf.io.parse_single_example(record, spec)
        for record in tf.data.TFRecordDataset(str(path))
    ]
    found = {name: np.stack([row[name] for row in rows]) for name in spec}
    found["label"] = found["label"].astype(np.int32)
    check(found, want)


def test_batches_do_not_gather_in_memory(source, tmp_path):
    """The file grows while images are still being read."""
    sizes = []

    def watched(images):
        sizes.extend(path.stat().st_size for path in tmp_path.iterdir())
        return frozen(encode)(images)

    embed(watched, source, tmp_path / "out.npz", size=8, batch_size=16, limit=128)
    assert sizes == sorted(sizes)
    assert sizes[-1] > sizes[0]


def test_another_suffix_is_refused(source, tmp_path):
    with pytest.raises(UserError, match=r"ends in '.csv'; name a file .* .npz or .tfr"):
        embed(frozen(encode), source, tmp_path / "out.csv", size=8)


def test_the_command(workdir, tmp_path, capsys):
    path = tmp_path / "test.npz"
    command = ["embed", "--workdir", workdir, "--to", str(path), "--part", "test"]
    assert main([*command, "--limit", "10", "--batch-size", "4", "--debug"]) == 0
    assert "step 2 of" in capsys.readouterr().out
    found = np.load(path)
    assert found["features"].shape == (10, 512)
    assert main([*command, "--limit", "0"]) == 2
    assert "--limit is 0; it is 1 or more" in capsys.readouterr().err
