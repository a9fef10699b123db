"""Sources as plugins: the shipped ones under their laws, bound by a recipe."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from sslkit import config
from sslkit.data import data
from sslkit.data.arrays import Arrays
from sslkit.data.digits import Digits
from sslkit.data.folder import Folder
from sslkit.data.tfds import PreparedTFDS
from sslkit.errors import UserError
from sslkit.testing import laws_of

IMAGES = np.arange(3 * 4 * 5 * 3, dtype=np.uint8).reshape(3, 4, 5, 3)


def archive(path, **arrays):
    np.savez(path, **arrays)
    return str(path)


@pytest.fixture
def mine(tmp_path):
    return archive(
        tmp_path / "mine.npz",
        train_images=IMAGES,
        train_labels=np.array([1, 0, -1]),
        test_images=IMAGES[:1, :, :, 0],
        test_labels=np.array([2]),
    )


@pytest.fixture
def photographs(tmp_path):
    for name in ("cat/1", "cat/2", "dog/1", "dog/2"):
        path = tmp_path / "photographs" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(tf.io.encode_png(IMAGES[0]).numpy())
    return str(tmp_path / "photographs")


def test_laws_of_arrays(mine):
    for law in laws_of(Arrays, path=mine):
        law()


def test_laws_of_a_folder(photographs):
    for law in laws_of(Folder, path=photographs):
        law()


@pytest.mark.slow
def test_laws_of_a_prepared_dataset(shared_data):
    options = {"dataset": "cifar10_subset", "data_dir": str(shared_data)}
    for law in laws_of(PreparedTFDS, **options):
        law()


def test_arrays_are_read(mine):
    opened = data(source=lambda split: Arrays(split=split, path=mine))
    train, test = (opened.source(part) for part in ("train", "test"))
    for index, label in enumerate((1, 0, -1)):
        image, found = train.example(tf.constant(index, tf.int64))
        np.testing.assert_array_equal(image, IMAGES[index])
        assert found == label
    grey, _ = test.example(tf.constant(0, tf.int64))
    np.testing.assert_array_equal(grey, np.repeat(IMAGES[0, :, :, :1], 3, axis=-1))
    # Over all splits: the largest label is in the test split.
    assert train.classes == test.classes == 3
    assert train.summary() == f"data arrays:{mine}/train: 3 classes, 3 images"


def test_arrays_without_labels(tmp_path):
    path = archive(tmp_path / "mine.npz", train_images=IMAGES)
    source = Arrays(split="train", path=path)
    assert source.classes is None
    assert source.labels().tolist() == [-1, -1, -1]
    assert source.why_unlabelled() == "has no array train_labels"


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"test_images": IMAGES}, "has no split 'train'.*it has test"),
        ({"train_images": IMAGES / 255}, r"is float64 \[3, 4, 5, 3\]; wanted uint8"),
        ({"train_images": IMAGES[:0]}, r"is uint8 \[0, 4, 5, 3\]; wanted"),
        ({"train_labels": np.array([0, 1])}, r"is int64 \[2\]; wanted integers \[3\]"),
        ({"train_labels": np.array([0, 1, 0.5])}, "is float64"),
        ({"train_labels": np.array([0, 1, -2])}, "goes from -2 to 1"),
        (
            {"train_labels": np.array([0, 1, 2]), "label_names": np.array(["a", "b"])},
            "has a label 2 and 2 label_names",
        ),
    ],
)
def test_refuses_other_arrays(tmp_path, arrays, said):
    wanted = {} if "test_images" in arrays else {"train_images": IMAGES}
    path = archive(tmp_path / "mine.npz", **{**wanted, **arrays})
    with pytest.raises(UserError, match=said) as error:
        Arrays(split="train", path=path)
    assert "\n" not in str(error.value)


def test_refuses_what_is_not_an_archive(tmp_path):
    text, one = tmp_path / "text.npz", tmp_path / "one.npy"
    text.write_text("not an archive")
    np.save(one, IMAGES)
    objects = archive(tmp_path / "objects.npz", train_images=np.array([{}, {}]))
    for path, said in (
        (tmp_path / "nothing.npz", "No such file"),
        (text, "cannot be read"),
        (one, "holds one array"),
        (objects, "Object arrays cannot be loaded"),
    ):
        with pytest.raises(UserError, match=said):
            Arrays(split="train", path=str(path))


def test_a_name_and_a_source_open_the_same(photographs):
    named = data(name=f"folder:{photographs}", exif=False).source("train")
    bound = data(source=lambda split: Folder(split=split, path=photographs))
    assert bound.source("train").identity() == named.identity()
    assert bound.source("test").summary() == named.summary()
    same = data(source=lambda split: Digits(split=split)).source("train")
    assert same.record() == data(name="digits").source("train").record()


def test_a_folder_is_looked_at_once_for_both_splits(photographs, monkeypatch):
    opened = data(name=f"folder:{photographs}")
    train = opened.source("train")
    monkeypatch.setattr("sslkit.data.folder.read_tree", None)
    test = opened.source("test")
    assert train.size + test.size == 4
    assert test.name == f"folder:{photographs}/test"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "neither is bound"),
        ({"name": "digits", "source": Digits}, "both are bound; set one to None"),
        (
            {"source": Digits, "data_dir": "/x"},
            "data.data_dir is '/x', which has an effect only",
        ),
        (
            {"source": Digits, "exif": False},
            "data.exif is False, which has an effect only",
        ),
    ],
)
def test_refuses_what_does_not_go_together(options, said):
    with pytest.raises(UserError, match=said):
        data(**options)


def test_a_recipe_binds_a_source_and_keeps_its_path_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    loaded = config.load(
        ["gin/fnc_digits_pretrain.gin"],
        [
            "data.name = None",
            "data.source = @sources.arrays",
            "sources.arrays.path = 'mine.npz'",
        ],
    )
    archive("mine.npz", train_images=IMAGES, test_images=IMAGES)
    assert loaded.data().source("train").size == 3
    kept = config.places.absolute(loaded.resolution.render())
    assert f"sources.arrays.path = '{tmp_path}/mine.npz'" in kept


def test_a_source_is_bound_without_parentheses():
    with pytest.raises(UserError, match="without parentheses: @sources"):
        config.read(
            ["gin/fnc_digits_pretrain.gin"],
            ["data.name = None", "data.source = @sources.digits()"],
        )
