"""How a folder of images is understood: classes, splits, and what is left out."""

from __future__ import annotations

import collections
import pathlib

import pytest

from sslkit.data.layout import Layout
from sslkit.data.tree import read_tree
from sslkit.errors import UserError

GIF = b"GIF89a"  # Only the first bytes of a file matter here.


@pytest.fixture
def layout(tmp_path):
    """Writes files and returns their layout; a number means this many images."""

    def make(**tree) -> Layout:
        for name, content in tree.items():
            path = tmp_path / name
            if isinstance(content, int):
                path.mkdir(parents=True, exist_ok=True)
                for number in range(content):
                    (path / f"{number:03d}").write_bytes(GIF)
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
        return Layout(read_tree(tmp_path, exif=True, webp=True))

    return make


def counts(layout: Layout, split: str = "train") -> dict[str, int]:
    names = [*layout.classes, "none"]
    count = collections.Counter(names[label] for _, label in layout.part(split))
    return dict(count)


def test_folders_that_systems_create_are_not_classes(layout):
    found = layout(
        **{"cat": 3, "dog": 2, "empty": 0, ".git": 1, "@eaDir": 2, "__MACOSX": 1},
        **{"cat/@eaDir": 2, "cat/.DS_Store": b"x", "dog/Thumbs.db": b"\0\1"},
        **{"cat/old.tif": b"II*\0", "dog/page.jpg": b"<html>", "dog/zero.jpg": b""},
    )
    assert counts(found) == {"cat": 2, "dog": 1}
    assert counts(found, "test") == {"cat": 1, "dog": 1}
    assert found.summary() == (
        "2 classes (cat, dog), 3 training and 2 test images; left out: folder without "
        "images: empty, 1 TIFF image (not supported: convert to JPEG or PNG), 1 empty "
        "file, 1 other file, 1 text file, 2 folders @eaDir, folder __MACOSX, 2 hidden "
        "files or folders"
    )


def test_an_image_outside_of_the_classes_does_not_remove_the_labels(layout):
    found = layout(cat=3, dog=3, **{"stray.jpg": GIF})
    assert found.classes == ("cat", "dog")
    assert counts(found) == {"cat": 2, "dog": 2}
    assert found.summary().endswith(
        "; left out: 1 image outside of the classes' folders"
    )


def test_more_images_outside_of_folders_than_in_them_are_not_left_out(layout):
    found = layout(**{".": 5, "edited": 2, "older": 3})
    assert counts(found) == {"none": 10}
    assert found.summary() == (
        "no classes, 10 training images and no test images, because there are no "
        "classes; 5 of 10 images are not in a sub-folder, so edited, older are not "
        "read as classes"
    )


def test_one_folder_beside_loose_images_is_named(layout):
    found = layout(**{".": 12, "holiday/beach": 1, "holiday": 2})
    assert counts(found) == {"none": 15}
    assert found.summary() == (
        "no classes, 15 training images and no test images, because there are no "
        "classes; 3 of them in the sub-folder holiday, which alone is not read as a "
        "class"
    )


def test_deeper_folders_belong_to_the_class_above_them(layout):
    found = layout(**{"2023/cat": 1, "2023/dog": 1, "2024/cat": 3})
    assert counts(found) == {"2023": 1, "2024": 2}
    assert found.summary() == "2 classes (2023, 2024), 3 training and 2 test images"


@pytest.mark.parametrize("names", [("train", "test"), ("Train", "TEST")])
def test_splits_in_any_case(layout, names):
    train, test = names
    found = layout(
        **{f"{train}/a": 2, f"{train}/b": 3, f"{train}/c": 0, f"{test}/b": 1},
        **{"Val/a": 4, "extra": 5, "1.jpg": GIF, f"{train}/2.jpg": GIF},
        **{f"{test}/3.jpg": GIF},
    )
    assert counts(found) == {"a": 2, "b": 3}
    assert counts(found, "test") == {"b": 1}
    assert counts(found, "val") == {"a": 4}
    assert found.summary() == (
        f"2 classes (a, b), 5 training in {train} and 1 test image in {test}; left "
        f"out: split Val (4 images), 1 image in {train} outside of the classes' "
        f"folders, 1 image outside of the splits, folder extra (5 images), which is "
        f"not a split, 1 image in {test} outside of the classes' folders, folder "
        f"without images: {train}/c"
    )


def test_splits_without_classes(layout):
    found = layout(train=3, val=2)
    assert counts(found) == {"none": 3}
    assert counts(found, "val") == {"none": 2}
    assert found.summary("train", "val") == (
        "no classes, 3 training in train and 2 test images in val"
    )
    assert found.summary() == (
        "no classes, 3 training images in train and no test images; left out: split "
        "val (2 images)"
    )


REFUSED = {
    "one split twice": ({"train": 1, "Train": 1}, "'Train' and 'train', which mean"),
    "nothing to train on": ({"test": 1, "val": 1}, "in test, val and none in a folder"),
    "a split or a class": (
        {"car": 2, "plane": 2, "train": 2},
        "'train' beside car, plane: that may be a split or a class",
    ),
    "nothing": ({"a": 0}, "has no JPEG, PNG, GIF, WebP or BMP image (it is empty)"),
    "other formats": (
        {"1.tif": b"II*\0", "2.tif": b"II*\0", "3.jpg": b""},
        "(2 TIFF images (not supported: convert to JPEG or PNG), 1 empty file)",
    ),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_cannot_be_understood_is_refused(layout, tmp_path, kind):
    tree, reason = REFUSED[kind]
    with pytest.raises(UserError) as error:
        layout(**tree)
    assert reason in str(error.value)
    assert str(tmp_path) in str(error.value)
    assert "\n" not in str(error.value)


def test_a_folder_called_test_may_be_a_class(layout):
    found = layout(test=2, cat=2)
    assert found.classes == ("cat", "test")
    assert "; test read as a class, because there is no folder train" in found.summary()


def test_a_train_folder_with_classes_is_a_split_whatever_is_beside_it(layout):
    found = layout(**{"train/a": 1, "train/b": 1, "notes": 1})
    assert counts(found) == {"a": 1, "b": 1}
    assert "left out: folder notes (1 image), which is not a split" in found.summary()


def test_a_folder_in_the_folder_is_pointed_out(layout, tmp_path):
    found = layout(**{"photos/train": 1, "photos/test": 1})
    assert counts(found) == {"none": 2}
    assert f"test, train as classes or splits, name folder:{tmp_path}/photos" in (
        found.summary()
    )


def test_test_classes_that_are_not_in_train_are_not_counted_as_none(layout):
    found = layout(**{"train/a": 1, "train/b": 1, "test/c": 1})
    assert found.summary() == (
        "2 classes (a, b), 2 training images in train and none in test that can be "
        "tested on"
    )
    with pytest.raises(UserError, match="has the class 'c', which is not in the train"):
        found.part("test")


def test_links_are_followed_once_and_named(layout, tmp_path):
    layout(a=1, b=1)
    (tmp_path / "c").symlink_to(tmp_path / "a")
    (tmp_path / "b" / "loop").symlink_to(tmp_path)
    found = layout()
    assert found.classes == ("a", "b")
    assert "2 links to what is read already (b/loop, c)" in found.summary()


@pytest.mark.parametrize("name", ["two\nlines", "byte\udcff", "\x1b[31m"])
def test_odd_names_stay_on_the_line(layout, name):
    summary = layout(**{name: 2, "b": 2}).summary()
    assert summary.isprintable()
    summary.encode()


def test_a_whole_folder_of_single_images_has_none_to_hold_out(layout):
    with pytest.raises(UserError, match="one image per class"):
        layout(a=1, b=1).part("test")


def test_reading_order_is_that_of_paths(layout):
    found = layout(**{"b/2": GIF, "b/10": GIF, "a/z/1": GIF, "a/1": GIF})
    paths = [picture.path for picture, _ in found.part("train")]
    assert paths == sorted(paths)
    assert pathlib.Path("a/1") in paths
