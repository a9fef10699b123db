"""The type of a file, by its first bytes."""

from __future__ import annotations

import io
import os
import struct

import numpy as np
import PIL.Image
import pytest
import tensorflow as tf

from sslkit.data.decoding import decode
from sslkit.data.headers import advice, look


def bmp(
    masks: tuple[int, ...] = (), *, header: int = 40, bits: int = 32, packing: int = 0
) -> bytes:
    """Four pixels of the bytes 50, 100, 200, 255."""
    pixels = bytes([50, 100, 200, 255]) * 4
    head = struct.pack("<IiiHHIIiiII", header, 2, 2, 1, bits, packing, 16, 0, 0, 0, 0)
    head += b"".join(mask.to_bytes(4, "little") for mask in masks)
    head += bytes(max(0, header - len(head)))
    start = 14 + len(head)
    return (
        b"BM" + struct.pack("<IHHI", start + len(pixels), 0, 0, start) + head + pixels
    )


def encoded(kind: str, **options) -> bytes:
    out = io.BytesIO()
    PIL.Image.new("RGB", (8, 8), (200, 100, 50)).save(out, kind, **options)
    return out.getvalue()


def box(brand: bytes, *others: bytes) -> bytes:
    body = b"ftyp" + brand + bytes(4) + b"".join(others)
    return struct.pack(">I", 4 + len(body)) + body + bytes(20)


def animated() -> bytes:
    colours = ("red", "lime")
    first, second = (PIL.Image.new("RGB", (8, 8), colour) for colour in colours)
    out = io.BytesIO()
    first.save(out, "WEBP", save_all=True, append_images=[second], lossless=True)
    return out.getvalue()


BGRA = (0xFF0000, 0xFF00, 0xFF, 0xFF000000)
RGBA = (0xFF, 0xFF00, 0xFF0000, 0xFF000000)

FILES = {
    "jpeg": (lambda: encoded("JPEG"), None),
    "webp": (lambda: encoded("WEBP"), None),
    "animated webp": (animated, "animated WebP image"),
    "tiff": (lambda: encoded("TIFF"), "TIFF image"),
    "photo.NEF": (lambda: encoded("TIFF"), "RAW image"),
    "avif": (lambda: box(b"avif", b"mif1"), "AVIF image"),
    "avif by a later brand": (lambda: box(b"mif1", b"mif1", b"avif"), "AVIF image"),
    "heic": (lambda: box(b"heic", b"mif1"), "HEIC image"),
    "cr3": (lambda: box(b"crx ", b"isom"), "RAW image"),
    "mp4": (lambda: box(b"isom", b"mp41"), "video file"),
    "jpeg xl": (lambda: b"\xff\x0a" + bytes(30), "JPEG XL image"),
    "icon": (lambda: encoded("ICO"), "icon image"),
    "svg": (lambda: b"<?xml version='1.0'?><svg></svg>", "SVG image"),
    "empty.jpg": (lambda: b"", "empty file"),
    "page.jpg": (lambda: b"<html>404</html>", "text file"),
    "bytes": (lambda: bytes(range(200, 256)) * 20, "other file"),
    "plain bmp": (bmp, None),
    "bmp, masks as usual": (lambda: bmp(BGRA, packing=3), None),
    "bmp, other order": (lambda: bmp(RGBA, packing=3), None),
    "bmp, version 5": (lambda: bmp(RGBA, packing=3, header=124), None),
    "bmp, odd masks": (lambda: bmp((0x3FF, 0xFFC00, 0), packing=3), "packed BMP image"),
    "os/2": (lambda: bmp(header=12), "OS/2 BMP image"),
    "os/2, 2": (lambda: bmp(header=64), "OS/2 BMP image"),
    "palette": (lambda: bmp(bits=8), "8-bit BMP image"),
}


@pytest.mark.parametrize("name", FILES)
def test_files_are_told_apart(tmp_path, name):
    make, refusal = FILES[name]
    path = tmp_path / os.path.basename(name.replace("/", "-"))
    path.write_bytes(make())
    header = look(path, webp=True)
    assert header.refusal == refusal
    assert header.size == (path.stat().st_size)


def test_without_a_decoder_webp_is_not_supported(tmp_path):
    (tmp_path / "1.webp").write_bytes(encoded("WEBP"))
    assert look(tmp_path / "1.webp", webp=False).refusal == "WebP image"
    assert advice("WebP image") == "not supported: convert to JPEG or PNG"
    assert advice("text file") == ""


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    assert look(tmp_path / "pipe", webp=True).refusal == "special file"


@pytest.mark.parametrize(
    ("masks", "packing", "pixel"),
    [
        ((), 0, [200, 100, 50]),
        (BGRA, 3, [200, 100, 50]),
        (RGBA, 3, [50, 100, 200]),
        (RGBA, 6, [50, 100, 200]),
    ],
)
def test_the_colours_of_a_bmp_are_where_its_masks_say(masks, packing, pixel):
    image = decode(bmp(masks, packing=packing))
    np.testing.assert_array_equal(image, np.full([2, 2, 3], pixel))


@pytest.mark.parametrize("kind", ["bmp, odd masks", "os/2", "palette"])
def test_a_bmp_that_would_be_misread_is_not_decoded(kind):
    with pytest.raises(tf.errors.InvalidArgumentError, match="a BMP image of 24 or 32"):
        decode(FILES[kind][0]())


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L"])
def test_webp_is_decoded_and_its_alpha_dropped(mode):
    random = np.random.default_rng(0).integers(0, 256, [8, 9, 4], np.uint8)
    image = PIL.Image.fromarray(random).convert(mode)
    out = io.BytesIO()
    image.save(out, "WEBP", lossless=True, exact=True)
    wanted = np.array(image.convert("RGBA" if mode == "RGBA" else "RGB"))[..., :3]
    np.testing.assert_array_equal(decode(out.getvalue()), wanted)


def test_an_animated_webp_never_reaches_the_decoder():
    """It would corrupt the memory of the process."""
    with pytest.raises(tf.errors.InvalidArgumentError, match="an animated WebP image"):
        decode(animated())
