"""Decoded images on disk: the same examples, decoded once, and again if they change."""

from __future__ import annotations

import os
import resource

import numpy as np
import pytest
import tensorflow as tf

from sslkit.data import data
from sslkit.data.disk import OnDisk
from sslkit.errors import UserError


@pytest.fixture
def images(tmp_path):
    """A folder of images of two sizes and two classes."""
    folder = tmp_path / "images"
    for number in range(20):
        side = 6 + number % 2
        pixels = tf.fill([side, 5, 3], tf.constant(number, tf.uint8))
        path = folder / "ab"[number % 2] / f"{number:02d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(tf.io.encode_png(pixels).numpy())
    return folder


def source(folder, *, split="train", **options):
    cached = data(
        name=f"folder:{folder}",
        cache="disk",
        cache_dir=str(folder.parent / "cache"),
        **options,
    )
    return cached.source(split)


def caches(folder):
    return sorted((folder.parent / "cache" / "images").iterdir())


def examples(opened):
    return list(
        tf.data.Dataset.range(opened.size).map(opened.search).as_numpy_iterator()
    )


def assert_same(found, wanted):
    for one, other in zip(found, wanted, strict=True):
        for part, whole in zip(one, other, strict=True):
            np.testing.assert_array_equal(part, whole)


@pytest.mark.parametrize(
    "split", ["train", pytest.param("test", marks=pytest.mark.slow)]
)
def test_same_examples_as_without(images, split):
    plain = data(name=f"folder:{images}").source(split)
    for opened in (source(images, split=split), source(images, split=split)):
        assert_same(examples(opened), examples(plain))
        assert (opened.size, opened.classes) == (plain.size, 2)
        assert opened.label_names == plain.label_names
    assert len(caches(images)) == 1


def test_prepared_datasets_too(shared_data, tmp_path):
    options = {"name": "cifar10_subset", "data_dir": str(shared_data)}
    options |= {"train": "train[:50]", "cache_dir": str(tmp_path)}
    plain = data(**options).source("train")
    opened = data(**options, cache="disk").source("train")
    assert_same(examples(opened), examples(plain))
    other = {**options, "train": "train[50:100]"}
    assert not np.array_equal(
        examples(data(**other, cache="disk").source("train"))[0][0],
        examples(opened)[0][0],
    )


def test_nothing_is_decoded_a_second_time(images):
    wanted = examples(source(images))
    for path in images.rglob("*.png"):
        stat = path.stat()
        path.write_bytes(bytes(stat.st_size))
        # Looks unchanged, but nothing can be read from it any more.
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
        path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(stat.st_size - 8))
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert_same(examples(source(images)), wanted)


def test_pixels_are_mapped_and_not_copied(images):
    opened = source(images)
    (cache,) = caches(images)
    assert (cache / "pixels").stat().st_size == sum(
        image.nbytes for image, *_ in examples(opened)
    )
    # Changes by another process are visible here.
    with open(cache / "pixels", "r+b") as file:
        file.write(b"\xc8")
    assert int(opened.example(tf.constant(0, tf.int64))[0][0, 0, 0]) == 200


def test_changed_data_is_decoded_anew(images):
    source(images)
    (images / "a" / "00.png").write_bytes(
        tf.io.encode_png(tf.fill([9, 9, 3], tf.constant(77, tf.uint8))).numpy()
    )
    image, *_ = examples(source(images))[0]
    assert image.shape == (9, 9, 3)
    assert (image == 77).all()
    assert len(caches(images)) == 2


def test_a_damaged_cache_is_made_again(images):
    wanted = examples(source(images))
    (cache,) = caches(images)
    with open(cache / "pixels", "r+b") as file:
        file.truncate(100)
    assert_same(examples(source(images)), wanted)
    table = (cache / "table.npz").read_bytes()
    for damaged in (b"PK", table[: len(table) // 2], b""):
        (cache / "table.npz").write_bytes(damaged)
        assert_same(examples(source(images)), wanted)
    assert caches(images) == [cache]


@pytest.mark.parametrize(
    "share",
    [
        pytest.param(0.1, marks=pytest.mark.slow),
        0.9,
        pytest.param(0.999, marks=pytest.mark.slow),
    ],
)
def test_a_table_that_is_cut_short_is_made_again(images, share):
    wanted = examples(source(images))
    (cache,) = caches(images)
    table = cache / "table.npz"
    whole = table.read_bytes()
    table.write_bytes(whole[: int(share * len(whole))])
    assert_same(examples(source(images)), wanted)
    assert len(table.read_bytes()) == len(whole)


def test_two_processes_that_make_a_cache_use_the_first(images, monkeypatch):
    plain = data(name=f"folder:{images}").source("train")
    real = os.rename

    def rename_late(old, new):
        # Meanwhile another process finishes.
        monkeypatch.setattr(os, "rename", real)
        source(images)
        real(old, new)

    monkeypatch.setattr(os, "rename", rename_late)
    assert_same(examples(source(images)), examples(plain))
    assert len(caches(images)) == 1


def test_a_full_disk_is_one_line_and_leaves_nothing(images):
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limit[1]))
    try:
        with pytest.raises(UserError) as error:
            source(images)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert "cannot be written (File too large, after" in str(error.value)
    assert "Free some space, name another data.cache_dir" in str(error.value)
    assert "\n" not in str(error.value)
    assert caches(images) == []
    source(images)
    assert len(caches(images)) == 1


def test_broken_images_are_named_by_every_run(images):
    (images / "a" / "02.png").write_bytes(b"GIF89a")
    plain = data(name=f"folder:{images}").source("train")
    wanted = examples(plain)
    for _ in range(2):
        opened = source(images)
        assert_same([image for image, *_ in examples(opened)], [w for w, *_ in wanted])
        count, line = opened.skipped()
        assert count.startswith(f"skipped 1 of {plain.size} examples")
        assert line.startswith(str(images / "a" / "02.png"))
    with pytest.raises(
        UserError, match=r"cannot read .*02\.png: .*repair or remove it"
    ):
        source(images, on_error="raise")


def test_a_source_in_memory_cannot_be_cached(tmp_path):
    with pytest.raises(UserError, match=r"digits/train is not read from files.*= None"):
        data(name="digits", cache="disk", cache_dir=str(tmp_path)).source("train")


def test_a_folder_that_cannot_be_mapped_is_refused(images):
    plain = data(name=f"folder:{images}").source("train")
    with pytest.raises(UserError, match=r"gs://bucket/cache, which cannot be mapped"):
        OnDisk(plain, cache_dir="gs://bucket/cache")
