"""Files with the features of a dataset."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from sslkit.cli.main import main
from sslkit.data import data
from sslkit.data.digits import Digits
from sslkit.errors import UserError
from sslkit.evaluate.features import evaluation_views, extract, frozen
from sslkit.export.embeddings import embed


def encode(images):
    return tf.reshape(images, [-1, 8 * 8 * 3])[:, ::7]


@pytest.fixture(scope="module")
def source():
    return Digits(split="test")


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
    want = extract(frozen(encode), evaluation_views(source, **options))
    assert rows == len(want.label) == (limit or source.size)
    found = np.load(path)
    check(found, want)
    assert found["class_names"].tolist() == list("0123456789")
    assert found["path"].tolist() == [source.describe(i) for i in want.index]
    assert [file.name for file in path.parent.iterdir()] == ["out.npz"]


def test_tfrecord(source, tmp_path):
    path = tmp_path / "out.tfrecord"
    embed(frozen(encode), source, path, size=8, batch_size=32, limit=40)
    want = extract(
        frozen(encode), evaluation_views(source, size=8, batch_size=32, limit=40)
    )
    spec = {
        "features": tf.io.FixedLenFeature([want.features.shape[1]], tf.float32),
        "label": tf.io.FixedLenFeature([], tf.int64),
        "index": tf.io.FixedLenFeature([], tf.int64),
        "path": tf.io.FixedLenFeature([], tf.string),
        "class_name": tf.io.FixedLenFeature([], tf.string),
    }
    rows = [
        tf.io.parse_single_example(record, spec)
        for record in tf.data.TFRecordDataset(str(path))
    ]
    found = {name: np.stack([row[name] for row in rows]) for name in spec}
    found["label"] = found["label"].astype(np.int32)
    check(found, want)
    assert found["path"][0].decode() == source.describe(want.index[0])
    assert found["class_name"][0].decode() == str(want.label[0])


@pytest.fixture
def photographs(tmp_path):
    """A labelled folder of which the second image is cut short."""
    folder = tmp_path / "photographs"
    for number in range(5):
        image = tf.io.encode_png(tf.fill([8, 8, 3], tf.constant(number, tf.uint8)))
        path = folder / "train" / "ab"[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        content = image.numpy()
        path.write_bytes(content[:-20] if number == 1 else content)
    return folder


@pytest.mark.parametrize(
    "suffix", ["npz", pytest.param("tfrecord", marks=pytest.mark.slow)]
)
def test_what_cannot_be_read_is_left_out_and_named(photographs, tmp_path, suffix):
    opened = data(name=f"folder:{photographs}").source("train")
    path = tmp_path / "out" / f"some.{suffix}"
    assert embed(frozen(encode), opened, path, size=8, batch_size=4) == 4
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    count, broken = opened.skipped()
    assert count.startswith("skipped 1 of 5 examples")
    assert broken.startswith(str(photographs / "train" / "b" / "1.png"))
    if suffix == "npz":
        found = np.load(path)
        assert found["features"].shape == (4, 28)
        wanted = np.array([0, 2, 4, 3]) / 255
        np.testing.assert_allclose(found["features"][:, 0], wanted, rtol=1e-6)
        assert found["label"].tolist() == [0, 0, 0, 1]
        assert found["class_names"].tolist() == ["a", "b"]
        assert [name[-5:] for name in found["path"]] == [
            *("0.png", "2.png", "4.png", "3.png")
        ]


def test_without_a_readable_image_no_file_is_left(photographs, tmp_path):
    for path in photographs.rglob("*.png"):
        path.write_bytes(path.read_bytes()[:-20])
    opened = data(name=f"folder:{photographs}").source("train")
    with pytest.raises(UserError, match="skipped 5 of 5 examples"):
        embed(frozen(encode), opened, tmp_path / "out.npz", size=8, batch_size=4)
    assert not (tmp_path / "out.npz").exists()


def test_batches_do_not_stay_in_memory(source, tmp_path):
    """The file grows while images are still being read."""
    sizes = []

    def watched(images):
        sizes.extend(path.stat().st_size for path in tmp_path.iterdir())
        return frozen(encode)(images)

    embed(watched, source, tmp_path / "out.npz", size=8, batch_size=16, limit=128)
    assert sizes == sorted(sizes)
    assert sizes[-1] > sizes[0]


def test_another_suffix_is_refused(source, tmp_path):
    with pytest.raises(UserError, match=r"does not end in .npz or .tfrecord"):
        embed(frozen(encode), source, tmp_path / "out.csv", size=8)


def test_the_command(workdir, tmp_path, capsys):
    path = tmp_path / "test.npz"
    command = ["embed", "--workdir", workdir, "--to", str(path), "--part", "test"]
    assert main([*command, "--limit", "10", "--batch-size", "4", "--debug"]) == 0
    assert "step 2 of" in capsys.readouterr().out
    found = np.load(path)
    assert found["features"].shape == (10, 512)
    assert main([*command, "--limit", "0"]) == 2
    assert "--limit is 0; give 1 or more" in capsys.readouterr().err


@pytest.mark.slow
def test_the_command_that_draws_neighbours(workdir, tmp_path, capsys):
    path = tmp_path / "sheets" / "sheet.png"
    command = ["neighbours", "--workdir", workdir, "--to", str(path), "--debug"]
    options = ["--part", "test", "--rows", "2", "--count", "3"]
    assert main([*command, *options]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "data digits/test: 10 classes, 360 images"
    assert lines[-1] == f"step 2 of {workdir}: written {path}"
    assert len([line for line in lines if line.startswith("query example")]) == 2
    assert len([line for line in lines if line.startswith("   ")]) == 6
    assert path.read_bytes().startswith(b"\x89PNG")
