"""Datasets that TFDS has prepared as ArrayRecord."""

from __future__ import annotations

import json
import shutil
import sys

import numpy as np
import pytest
import tensorflow as tf

from sslkit.data import data
from sslkit.data.in_python import call
from sslkit.data.tfds import PreparedTFDS
from sslkit.errors import UserError
from sslkit.testing import laws_of

NAME = "imagenet2012_subset/1pct"


@pytest.fixture
def prepared(shared_data, tmp_path):
    """The same dataset as ArrayRecord; returns its folder and its only shard."""
    module = pytest.importorskip("array_record.python.array_record_module")
    home = tmp_path / "data" / NAME
    shutil.copytree(shared_data / NAME, home)
    for path in (tmp_path / "data").rglob("*"):
        path.chmod(0o755)
    (info,) = home.glob("*/dataset_info.json")
    about = json.loads(info.read_text())
    info.write_text(json.dumps({**about, "fileFormat": "array_record"}))
    for path in home.glob("*/*tfrecord*"):
        stored = path.with_name(path.name.replace("tfrecord", "array_record"))
        writer = module.ArrayRecordWriter(str(stored), "group_size:1")
        for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
            writer.write(record)
        writer.close()
        path.unlink()
    (shard,) = home.glob("*/*train.array_record*")
    return tmp_path / "data", shard


def opened(root, split="train", **options):
    return PreparedTFDS(split=split, dataset=NAME, data_dir=str(root), **options)


def test_reads_what_is_in_tfrecord_files(prepared, shared_data, tmp_path):
    root, shard = prepared
    found = opened(root, "train[3:]", cache_dir=str(tmp_path / "c"))
    wanted = opened(shared_data, "train[3:]", cache_dir=str(tmp_path / "c"))
    assert found.size == wanted.size == 13
    assert found.label_names == wanted.label_names
    indices = tf.data.Dataset.from_tensor_slices(tf.constant([12, 0, 5], tf.int64))
    for one, other in zip(found.read(indices), wanted.read(indices), strict=True):
        np.testing.assert_array_equal(one["image"], other["image"])
        assert int(one["label"]) == int(other["label"]) >= 0
        assert int(found.label(one["index"])) == int(other["label"])
    assert found.describe(2) == f"{shard}, record 5"
    assert not (tmp_path / "c" / "labels").exists()  # no file was scanned


@pytest.mark.slow
def test_laws_of_array_record(prepared):
    options = {"dataset": NAME, "data_dir": str(prepared[0])}
    for law in laws_of(PreparedTFDS, **options):
        law()


def test_its_records_are_told_apart(prepared):
    root, _ = prepared
    first = opened(root)
    assert opened(root, "train[3:]").record()["records"] != first.record()["records"]
    assert opened(root, "train[3:]").identity() != first.identity()
    moved = root.with_name("moved")
    shutil.copytree(root, moved)
    assert opened(moved).record() == first.record()
    assert opened(moved).identity() != first.identity()


def test_labels_that_are_not_classes_are_read_from_it(prepared, tmp_path):
    root, _ = prepared
    (path,) = root.rglob("features.json")
    about = json.loads(path.read_text())
    label = about["featuresDict"]["features"]["label"]
    label["pythonClassName"] = "tensorflow_datasets.core.features.scalar.Scalar"
    del label["classLabel"]
    label["tensor"] = {"shape": {}, "dtype": "int64", "encoding": "none"}
    path.write_text(json.dumps(about))
    source = opened(root, label="label", cache_dir=str(tmp_path / "c"))
    assert source.classes == 1 + max(int(source.label(i)) for i in range(source.size))


def test_damage_is_named(prepared):
    root, shard = prepared
    whole = shard.read_bytes()
    middle = len(whole) // 2
    broken = whole[:middle] + bytes(2000) + whole[middle + 2000 :]
    shard.write_bytes(broken)
    (line, *_) = opened(root).diagnose()
    assert line.startswith(f"{shard}, record ")
    assert "\n" not in line
    shard.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match="is cut short or is not an ArrayRecord file"):
        opened(root)
    shard.unlink()
    with pytest.raises(UserError, match="is missing, although the dataset lists it"):
        opened(root)


def test_the_package_that_is_missing_is_named(prepared, monkeypatch):
    monkeypatch.setitem(sys.modules, "array_record.python", None)
    with pytest.raises(UserError, match="not installed: pip install array_record, or"):
        opened(prepared[0])


def test_a_data_service_cannot_read_it_but_from_a_cache_on_disk(prepared, tmp_path):
    settings = {
        "name": NAME,
        "data_dir": str(prepared[0]),
        "cache_dir": str(tmp_path / "c"),
        "service": "grpc://127.0.0.1:1",
    }
    with pytest.raises(UserError, match=r"is read by Python.*data\.cache = 'disk'"):
        data(**settings).source("train")
    assert data(**settings, cache="disk").source("train").size == 16


def test_what_python_reads_keeps_zeros_at_its_end():
    found = call(lambda index: bytes(index), tf.constant(3, tf.int64))
    assert found.numpy() == b"\0\0\0"
