"""Photographs are upright, according to EXIF."""

from __future__ import annotations

import io

import numpy as np
import PIL.Image
import PIL.ImageOps
import pytest
import tensorflow as tf

from sslkit.data import data
from sslkit.data.decoding import decode
from sslkit.data.exif import orientation


def picture(turn: int | None, kind: str) -> bytes:
    """An image that looks different from all sides, stored with an orientation."""
    corner = np.zeros([8, 16, 3], np.uint8)
    corner[:4, :4] = (250, 20, 20)
    corner[:4, 12:] = (20, 250, 20)
    corner[4:, :4] = (20, 20, 250)
    options = {"JPEG": {"quality": 100, "subsampling": 0}, "WEBP": {"lossless": True}}
    exif = PIL.Image.Exif()
    if turn is not None:
        exif[0x0112] = turn
    out = io.BytesIO()
    PIL.Image.fromarray(corner).save(out, kind, exif=exif, **options.get(kind, {}))
    return out.getvalue()


def upright(content: bytes, turn: int) -> np.ndarray:
    """Rotates the stored pixels with Pillow."""
    image = PIL.Image.fromarray(decode(content).numpy())
    image.getexif()[0x0112] = turn
    return np.array(PIL.ImageOps.exif_transpose(image))


def seen(path, **options) -> list[np.ndarray]:
    source = data(name=f"folder:{path}", **options).source("train")
    places = tf.data.Dataset.range(source.size)
    return [image for image, *_ in places.map(source.search).as_numpy_iterator()]


KINDS = ("JPEG", "PNG", "WEBP")


@pytest.mark.parametrize("kind", KINDS)
def test_all_orientations_are_those_of_pillow(tmp_path, kind):
    for turn in range(1, 9):
        (tmp_path / f"{turn}").write_bytes(picture(turn, kind))
    for turn, image in enumerate(seen(tmp_path), start=1):
        content = picture(turn, kind)
        assert orientation(io.BytesIO(content)) == turn
        assert image.shape == ((8, 16, 3) if turn < 5 else (16, 8, 3))
        np.testing.assert_array_equal(image, upright(content, turn))


def test_the_option_shows_images_as_they_are_stored(tmp_path):
    for turn in (3, 6):
        (tmp_path / f"{turn}").write_bytes(picture(turn, "PNG"))
    stored = decode(picture(None, "PNG"))
    for image in seen(tmp_path, exif=False):
        np.testing.assert_array_equal(image, stored)


def test_a_cache_on_disk_is_not_that_of_the_other_option(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "6.png").write_bytes(picture(6, "PNG"))
    options = {"cache": "disk", "cache_dir": str(tmp_path / "cache")}
    shapes = [
        seen(tmp_path / "images", exif=exif, **options)[0].shape
        for exif in (False, True, False)
    ]
    assert shapes == [(8, 16, 3), (16, 8, 3), (8, 16, 3)]


@pytest.mark.parametrize("kind", KINDS)
def test_an_image_without_an_entry_is_upright(kind):
    assert orientation(io.BytesIO(picture(None, kind))) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_damage_never_raises(kind):
    content = picture(6, kind)
    for length in range(0, min(len(content), 400)):
        assert orientation(io.BytesIO(content[:length])) in (1, 6)
    random = np.random.default_rng(0)
    for _ in range(300):
        damaged = bytearray(content)
        for place in random.integers(2, len(content), 4):
            damaged[place] = random.integers(256)
        assert 1 <= orientation(io.BytesIO(bytes(damaged))) <= 8


@pytest.mark.parametrize("value", [0, 9, 65535])
def test_values_without_a_meaning_are_upright(value):
    assert orientation(io.BytesIO(picture(value, "JPEG"))) == 1


def test_fill_bytes_between_segments():
    content = picture(8, "JPEG")
    assert orientation(io.BytesIO(content[:2] + b"\xff\xff" + content[2:])) == 8


@pytest.mark.parametrize(
    "content",
    [b"\xff\xd8\xff\xff\xff\xff", b"\xff\xd8\xff\xff\xff", b"\xff\xd8\xff\xe1\0\x0a"],
)
def test_a_file_that_ends_too_early_is_upright(content):
    assert orientation(io.BytesIO(content)) == 1
