import io
import json
import logging
import os
import shutil

import numpy as np
import pytest
import tensorflow as tf

from sslkit.data import data, records
from sslkit.data.records import record_table
from sslkit.errors import UserError


@pytest.fixture
def opened(shared_data, tmp_path):
    """Opens the training split of a prepared dataset, with a separate cache."""

    def open_one(name, train="train", data_dir=shared_data):
        found = data(
            name=name,
            train=train,
            data_dir=str(data_dir),
            cache_dir=str(tmp_path / "c"),
        )
        return found.source("train")

    return open_one


def copied(shared_data, tmp_path, name):
    shutil.copytree(shared_data / name, tmp_path / "data" / name)
    for path in (tmp_path / "data").rglob("*"):
        path.chmod(0o755)
    return tmp_path / "data"


@pytest.mark.parametrize(
    ("name", "folder", "split", "classes"),
    [
        ("cifar10_subset", "cifar10_subset/1.0.0", "train[9900:10100]", 10),
        ("imagenet2012", "imagenet2012/5.1.0", "validation[:12]", 1000),
        ("imagenet2012_subset/1pct", "imagenet2012_subset/1pct/5.0.0", "train", 1000),
    ],
)
def test_reads_what_tfds_reads(opened, shared_data, name, folder, split, classes):
    import tensorflow_datasets as tfds

    source = opened(name, split)
    builder = tfds.builder_from_directory(shared_data / folder)
    wanted = builder.as_dataset(
        split=split, read_config=tfds.ReadConfig(interleave_cycle_length=1)
    )
    found = list(source.read(tf.data.Dataset.range(source.size)))
    assert source.size == len(found) == len(wanted)
    assert source.classes == classes
    assert len(source.label_names) == classes
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(one["image"], other["image"])
        assert int(one["label"]) == int(other["label"])
        assert int(source.label(one["index"])) == int(other["label"])


def test_random_access_crosses_shards(opened):
    source = opened("cifar10_subset")
    assert source.size == 20000
    asked = [19999, 0, 10000, 9999, 19999]
    indices = tf.data.Dataset.from_tensor_slices(tf.constant(asked, tf.int64))
    read = list(source.read(indices))
    assert [int(e["index"]) for e in read] == asked
    np.testing.assert_array_equal(read[0]["image"], read[4]["image"])
    assert "00001-of-00002, record at byte 0" in source.describe(10000)


def test_a_version_can_be_named(opened):
    assert opened("imagenet2012:5.1.0").size == 160
    with pytest.raises(UserError, match=r"has no version 1\.0\.0; it has 5\.1\.0"):
        opened("imagenet2012:1.0.0")


def test_the_newest_version_is_read(opened, shared_data, tmp_path):
    root = copied(shared_data, tmp_path, "imagenet2012_subset")
    home = root / "imagenet2012_subset/1pct"
    shutil.copytree(home / "5.0.0", home / "10.0.0")
    assert "/10.0.0/" in opened("imagenet2012_subset/1pct", data_dir=root).describe(0)


def refusal(opened, *args, **options):
    with pytest.raises(UserError) as error:
        opened(*args, **options)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_not_prepared(opened, tmp_path):
    message = refusal(opened, "cifar10", data_dir=tmp_path)
    assert f"no {tmp_path}/cifar10/<version>/dataset_info.json" in message
    assert f"tfds.load('cifar10', data_dir='{tmp_path}')" in message


def test_imagenet_names_the_archives_and_their_place(opened, tmp_path):
    message = refusal(opened, "imagenet2012", data_dir=tmp_path)
    assert "ILSVRC2012_img_train.tar and ILSVRC2012_img_val.tar" in message
    assert f"{tmp_path}/downloads/manual" in message


def test_unknown_dataset(opened, shared_data):
    message = refusal(opened, "cifr")
    assert "TFDS does not know a dataset 'cifr'" in message
    assert f"{shared_data} has cifar10_subset, imagenet2012" in message
    assert "no dataset can be called 'flder:/x'" in refusal(opened, "flder:/x")


def test_config_is_missing(opened):
    assert refusal(opened, "imagenet2012_subset").endswith(
        "name one: imagenet2012_subset/10pct, imagenet2012_subset/1pct"
    )


@pytest.mark.parametrize("split", ["tests", "train[:x]"])
def test_unknown_split(opened, split):
    assert refusal(opened, "cifar10_subset", split) == (
        f"cifar10_subset has no split '{split}'; it has train, test"
    )


def test_empty_split(opened):
    message = refusal(opened, "cifar10_subset", "train[:0]")
    assert message.startswith("cifar10_subset has no example in split 'train[:0]'")


def test_damage_is_named(opened, shared_data, tmp_path):
    root = copied(shared_data, tmp_path, "imagenet2012_subset")
    (shard,) = root.glob("*/1pct/*/*train*")
    whole = shard.read_bytes()
    shard.write_bytes(whole[:-5])
    message = refusal(opened, "imagenet2012_subset/1pct", data_dir=root)
    assert f"{shard} is cut short" in message

    shard.write_bytes(whole + whole)
    message = refusal(opened, "imagenet2012_subset/1pct", data_dir=root)
    assert f"{shard} holds 32 records where dataset_info.json says 16" in message

    flipped = bytearray(whole)
    flipped[5000] ^= 1
    shard.write_bytes(flipped)
    source = opened("imagenet2012_subset/1pct", data_dir=root)
    (line,) = source.diagnose()
    assert line.startswith(f"{shard}, record at byte 0: ")

    shard.unlink()
    message = refusal(opened, "imagenet2012_subset/1pct", data_dir=root)
    assert f"{shard} is missing" in message


@pytest.mark.parametrize("file", ["dataset_info.json", "features.json"])
@pytest.mark.parametrize("content", [b"{", b"\xff\xfe", b'{"featuresDict": {"x": 3}}'])
def test_damaged_descriptions_are_named(opened, shared_data, tmp_path, file, content):
    root = copied(shared_data, tmp_path, "imagenet2012_subset")
    (path,) = root.glob(f"*/1pct/*/{file}")
    path.write_bytes(content)
    message = refusal(opened, "imagenet2012_subset/1pct", data_dir=root)
    assert f"{path.parent} is not a prepared dataset that TFDS can read (" in message
    assert message.endswith("; prepare the dataset again")


def test_other_storage_is_refused(opened, shared_data, tmp_path):
    root = copied(shared_data, tmp_path, "imagenet2012_subset")
    (path,) = root.glob("*/1pct/*/dataset_info.json")
    info = json.loads(path.read_text())
    info["fileFormat"] = "riegeli"
    path.write_text(json.dumps(info))
    message = refusal(opened, "imagenet2012_subset/1pct", data_dir=root)
    assert "is stored as riegeli; only tfrecord and array_record are read" in message


@pytest.mark.parametrize(
    ("drop", "wanted"), [("label", None), ("image", "no feature 'image'")]
)
def test_features_that_are_missing(opened, shared_data, tmp_path, drop, wanted):
    root = copied(shared_data, tmp_path, "imagenet2012_subset")
    (path,) = root.glob("*/1pct/*/features.json")
    features = json.loads(path.read_text())
    del features["featuresDict"]["features"][drop]
    path.write_text(json.dumps(features))
    if wanted:
        assert wanted in refusal(opened, "imagenet2012_subset/1pct", data_dir=root)
        return
    source = opened("imagenet2012_subset/1pct", data_dir=root)
    assert source.classes is None
    first = next(iter(source.read(tf.data.Dataset.range(1))))
    assert int(first["label"]) == -1


def write_records(path, sizes):
    with tf.io.TFRecordWriter(str(path)) as writer:
        for size in sizes:
            writer.write(b"x" * size)


def test_table_is_cached_until_a_file_changes(tmp_path):
    files = [tmp_path / "a", tmp_path / "b"]
    write_records(files[0], [3, 0, 10])
    write_records(files[1], [])
    paths = [str(path) for path in files]
    cache = tmp_path / "cache"
    wanted = [[0, 0, 3], [0, 19, 0], [0, 35, 10]]
    assert record_table(paths, cache_dir=str(cache)).tolist() == wanted
    (kept,) = (cache / "records").iterdir()
    # The second time it is read from the cache.
    np.save(kept, np.array([[0, 1, 2]], np.int64))
    assert record_table(paths, cache_dir=str(cache)).tolist() == [[0, 1, 2]]
    kept.write_bytes(b"half")
    assert record_table(paths, cache_dir=str(cache)).tolist() == wanted
    write_records(files[0], [3, 5])
    assert len(record_table(paths, cache_dir=str(cache))) == 2


def test_cache_that_cannot_be_written(tmp_path, caplog):
    write_records(tmp_path / "a", [3])
    (tmp_path / "file").touch()
    with caplog.at_level(logging.INFO):
        table = record_table([str(tmp_path / "a")], cache_dir=str(tmp_path / "file"))
    assert len(table) == 1
    assert "the record index is not kept" in caplog.text


def test_default_cache_follows_xdg(tmp_path, monkeypatch):
    write_records(tmp_path / "a", [3])
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    record_table([str(tmp_path / "a")])
    assert len(os.listdir(tmp_path / "xdg/sslkit/records")) == 1


def test_remote_files_are_scanned_too(tmp_path):
    write_records(tmp_path / "a", [3, 4])
    table = record_table([f"file://{tmp_path}/a"], cache_dir=str(tmp_path / "c"))
    assert table.tolist() == [[0, 0, 3], [0, 19, 4]]


class Forward(io.BytesIO):
    """A file in a bucket: every seek is a request."""

    reads = 0

    def read(self, size):
        self.reads += 1
        return super().read(size)

    def seek(self, *place):
        raise AssertionError("a file in a bucket is read from beginning to end")


@pytest.mark.parametrize("piece", [1, 7, 16, 40, 1000])
def test_files_in_a_bucket_are_read_once_from_beginning_to_end(
    tmp_path, monkeypatch, piece
):
    sizes = [3, 0, 100, 1, 50, 7]
    write_records(tmp_path / "a", sizes)
    content = (tmp_path / "a").read_bytes()
    opened = []

    def open_one(path):
        opened.append(Forward(content))
        return opened[-1]

    monkeypatch.setattr(records, "_open", open_one)
    monkeypatch.setattr(records, "_PIECE", piece)
    table = record_table([f"file://{tmp_path}/a"], cache_dir=str(tmp_path / "c"))
    assert table[:, 2].tolist() == sizes
    starts = np.cumsum([0, *(size + 16 for size in sizes[:-1])])
    assert table[:, 1].tolist() == starts.tolist()
    (file,) = opened
    assert file.reads <= -(-len(content) // piece)
