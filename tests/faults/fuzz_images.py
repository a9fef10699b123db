"""Image files with damage, decoded as a folder of photographs is."""

from __future__ import annotations

import io
import pathlib
import random
import struct
from collections.abc import Iterator

import numpy as np
import PIL.Image
import tensorflow as tf
from faults.fuzzing import READ, REFUSED, SKIPPED, Finding, Target, damaged

from sslkit.data import data
from sslkit.data.decoding import LARGEST, READS_WEBP, turn_upright
from sslkit.data.headers import look


class Images(Target):
    """JPEG, PNG, GIF, BMP and WebP files: recognised, decoded, rotated."""

    name = "images"

    def __init__(self, folder: pathlib.Path):
        """Encodes the images that are damaged later; opens the folder.

        Args:
            folder: where inputs go.
        """
        self._seeds = list(_whole_files())
        photos = folder / "photos"
        photos.mkdir()
        self._path = photos / "one.png"
        self._path.write_bytes(self._seeds[0])
        self._source = data(name=f"folder:{photos}").source("train")
        self._read = tf.function(
            lambda turn: self._upright(turn),
            input_signature=[tf.TensorSpec([], tf.int32)],
            autograph=False,
        )

    def _upright(self, turn: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        image, _, ok = self._source.attempt(tf.constant(0, tf.int64))
        return turn_upright(image, turn), ok

    def attempt(self, draw: random.Random) -> str:
        """Implements `Target.attempt`."""
        content = draw.choice(self._seeds)
        if draw.random() < 0.5:
            # Most of the bytes that matter to a decoder are at the beginning.
            head = draw.choice((16, 40, 100))
            content = damaged(content[:head], draw) + content[head:]
        else:
            content = damaged(content, draw)
        self._path.write_bytes(content)
        header = look(self._path, webp=READS_WEBP)
        if header.refusal is not None:
            if "\n" in header.refusal:
                raise Finding(f"not one line: {header.refusal!r}")
            return REFUSED
        image, ok = self._read(header.orientation)
        if not ok:
            # Tracing takes longer than all the rest.
            lines = self._source.diagnose([0]) if draw.random() < 0.05 else ["x"]
            if len(lines) != 1 or "\n" in lines[0]:
                raise Finding(f"a skipped file is said so: {lines}")
            return SKIPPED
        if image.dtype != tf.uint8 or image.shape[2] != 3 or not _fits(image.shape):
            raise Finding(f"an image of {image.dtype}, {image.shape}")
        return READ


def _fits(shape: tf.TensorShape) -> bool:
    return 0 < shape[0] * shape[1] <= LARGEST


def _whole_files() -> Iterator[bytes]:
    """Encodes images of each kind, in several variants."""
    random = np.random.default_rng(0)
    smooth = np.linspace(0, 255, 24 * 20 * 3).reshape(24, 20, 3)
    pixels = (smooth + random.integers(0, 40, smooth.shape)).clip(0, 255)
    colour = PIL.Image.fromarray(pixels.astype(np.uint8))
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    with_alpha = colour.copy()
    with_alpha.putalpha(77)
    for image, kind, options in (
        (colour, "PNG", {}),
        (colour, "PNG", {"exif": exif}),
        (with_alpha, "PNG", {}),
        (colour.quantize(16), "PNG", {}),
        (colour.convert("L"), "PNG", {}),
        (colour.convert("I;16"), "PNG", {}),
        (colour, "JPEG", {"quality": 80}),
        (colour, "JPEG", {"exif": exif, "progressive": True}),
        (colour.convert("L"), "JPEG", {}),
        (colour.convert("CMYK"), "JPEG", {}),
        (colour.quantize(16), "GIF", {}),
        (colour.quantize(16), "GIF", {"interlace": 0}),
        (
            colour.quantize(16),
            "GIF",
            {"save_all": True, "append_images": [colour.quantize(8).rotate(90)]},
        ),
        (colour, "BMP", {}),
        (with_alpha, "BMP", {}),
        (colour.quantize(16), "BMP", {}),
        (colour, "WEBP", {"lossless": True}),
        (colour, "WEBP", {"quality": 60}),
        (colour, "WEBP", {"exif": exif}),
        (with_alpha, "WEBP", {"lossless": True}),
        (with_alpha, "WEBP", {"quality": 60}),
        (colour, "WEBP", {"save_all": True, "append_images": [colour.rotate(90)]}),
        (colour, "TIFF", {}),
    ):
        out = io.BytesIO()
        try:
            image.save(out, kind, **options)
        except (OSError, KeyError):
            continue  # This Pillow does not write it.
        yield out.getvalue()
    # A JPEG with fill bytes before a segment, which ends there.
    yield b"\xff\xd8\xff\xff\xff\xff"
    yield b"\xff\xd8" + struct.pack(">BBH", 0xFF, 0xE1, 10) + b"Exif\0\0MM"
