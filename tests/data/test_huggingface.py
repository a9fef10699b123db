"""Datasets that Hugging Face's `datasets` has saved; skipped without the package."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import tensorflow as tf

from sslkit.data import data
from sslkit.data.huggingface import HuggingFace
from sslkit.errors import UserError
from sslkit.testing import laws_of

IMAGES = np.arange(3 * 4 * 5 * 3, dtype=np.uint8).reshape(3, 4, 5, 3)


@pytest.fixture
def library():
    pytest.importorskip("datasets")
    from sslkit.data.huggingface import _library

    return _library()


def encoded(image):
    return {"bytes": tf.io.encode_png(image).numpy(), "path": None}


def saved(library, folder, columns, features):
    """Saves one split, or a mapping of them."""

    def made(one):
        return library.Dataset.from_dict(one, library.Features(features))

    if "picture" in columns:
        found = made(columns)
    else:
        found = library.DatasetDict({name: made(one) for name, one in columns.items()})
    found.save_to_disk(str(folder))
    return str(folder)


@pytest.fixture
def mine(library, tmp_path):
    path = tmp_path / "one.png"
    path.write_bytes(encoded(IMAGES[1])["bytes"])
    pictures = [encoded(IMAGES[0]), {"bytes": None, "path": str(path)}]
    pictures.append(encoded(IMAGES[2]))
    names = library.ClassLabel(names=["cat", "dog", "owl"])
    columns = {
        "train": {"picture": pictures, "label": [1, 0, None], "n": [0, None, 1]},
        "test": {"picture": pictures[:1], "label": [2], "n": [5]},
    }
    features = {"picture": library.Image(), "label": names, "n": library.Value("uint8")}
    return saved(library, tmp_path / "mine", columns, features)


@pytest.mark.slow
def test_laws(mine):
    for law in laws_of(HuggingFace, path=mine):
        law()


def test_reads_what_was_saved(mine):
    opened = data(source=lambda split: HuggingFace(split=split, path=mine))
    train, test = opened.source("train"), opened.source("test")
    found = list(train.read(tf.data.Dataset.range(3)))
    for one, image, label in zip(found, IMAGES, (1, 0, -1), strict=True):
        np.testing.assert_array_equal(one["image"], image)
        assert int(one["label"]) == label
    assert train.label_names == ("cat", "dog", "owl")
    assert test.labels().tolist() == [2]
    assert train.describe(1) == f"{mine}/train, row 1"
    numbered = HuggingFace(split="train", path=mine, label="n")
    assert numbered.classes == 6  # over all splits
    assert numbered.labels().tolist() == [0, -1, 1]
    assert numbered.record()["files"] != train.record()["files"]


def test_a_dataset_that_was_saved_without_splits_is_train(library, tmp_path):
    columns = {"picture": [encoded(IMAGES[0])]}
    path = saved(library, tmp_path / "alone", columns, {"picture": library.Image()})
    source = HuggingFace(split="train", path=path)
    assert source.classes is None
    assert source.labels().tolist() == [-1]
    assert "has no column label or labels, but picture" in source.why_unlabelled()
    with pytest.raises(UserError, match="no split 'test'; it has train"):
        HuggingFace(split="test", path=path)


def test_a_row_that_cannot_be_read_is_named(library, tmp_path):
    columns = {"picture": [None, {"bytes": b"junk", "path": None}]}
    path = saved(library, tmp_path / "bad", columns, {"picture": library.Image()})
    empty, junk = HuggingFace(split="train", path=path).diagnose()
    assert empty == f"{path}/train, row 0: ValueError: there is no image in the row"
    assert junk.startswith(f"{path}/train, row 1: ")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"split": "tests"}, "has no split 'tests'; it has train, test"),
        ({"image": "n"}, "'n' is not one; its images are picture; its columns are"),
        ({"label": "picture"}, "is Image.*, not a class for each image"),
        ({"label": "kind"}, "no column 'kind' for the label; it has picture, label"),
    ],
)
def test_refuses(mine, options, said):
    with pytest.raises(UserError, match=said) as error:
        HuggingFace(**{"split": "train", "path": mine, **options})
    assert "\n" not in str(error.value)


def test_refuses_other_folders_and_columns(library, tmp_path):
    with pytest.raises(UserError, match="is not a dataset that datasets"):
        HuggingFace(split="train", path=str(tmp_path / "nothing"))
    columns = {"picture": [1], "label": [-2]}
    kinds = {"picture": library.Value("int8"), "label": library.Value("int8")}
    path = saved(library, tmp_path / "numbers", columns, kinds)
    with pytest.raises(UserError, match="name the column of images; it has no images"):
        HuggingFace(split="train", path=path)
    columns["picture"] = [encoded(IMAGES[0])]
    kinds["picture"] = library.Image()
    path = saved(library, tmp_path / "low", columns, kinds)
    with pytest.raises(UserError, match="has the value -2; labels are 0 or more"):
        HuggingFace(split="train", path=path)


def test_the_package_that_is_missing_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(UserError, match=r"pip install 'sslkit\[huggingface\]'"):
        HuggingFace(split="train", path="mine")
