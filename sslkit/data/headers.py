"""The type of a file, by its first bytes and not by its name."""

from __future__ import annotations

import os
import stat
from typing import NamedTuple

from sslkit.data.exif import UPRIGHT, orientation

__all__ = ["READ", "Header", "advice", "look"]

READ = "JPEG, PNG, GIF, WebP or BMP"
"""The kinds of image that are read."""

_FIRST = 512  # bytes that are enough to tell the types
_READ = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF87a", b"GIF89a")

_OTHER_IMAGES = {
    b"FUJIFILMCCD-RAW": "RAW",
    b"IIRO": "RAW",
    b"IIRS": "RAW",
    b"MMOR": "RAW",
    b"IIU\0": "RAW",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"II+\0": "TIFF",
    b"MM\0+": "TIFF",
    b"\xff\x0a": "JPEG XL",
    b"\0\0\0\x0cJXL ": "JPEG XL",
    b"\0\0\0\x0cjP  ": "JPEG 2000",
    b"\xffO\xffQ": "JPEG 2000",
    b"8BPS": "Photoshop",
    b"\0\0\1\0": "icon",
    b"v/1\x01": "OpenEXR",
}
_RAW_SUFFIXES = (".arw", ".cr2", ".dng", ".nef", ".nrw", ".pef", ".sr2", ".srw")
_BRANDS = (
    (b"avif", "AVIF"),
    (b"avis", "AVIF"),
    (b"crx ", "RAW"),
    (b"heic", "HEIC"),
    (b"heix", "HEIC"),
    (b"hevc", "HEIC"),
    (b"hevx", "HEIC"),
    (b"heim", "HEIC"),
    (b"heis", "HEIC"),
    (b"mif1", "HEIC"),
    (b"msf1", "HEIC"),
)


class Header(NamedTuple):
    """Facts about a file before its pixels are decoded."""

    refusal: str | None
    """Its type, such as `text file` or `TIFF image`, if it is not read; else None."""
    size: int
    """Bytes."""
    orientation: int = UPRIGHT
    """1 to 8; see `sslkit.data.exif`."""


def look(path: str | os.PathLike[str], *, exif: bool = True, webp: bool) -> Header:
    """Reads the beginning of a file.

    Args:
        path: of the file.
        exif: whether to read the orientation.
        webp: whether WebP images can be decoded.

    Returns:
        Its type and orientation.

    Raises:
        OSError: if it cannot be read.
    """
    found = os.stat(path)
    if not stat.S_ISREG(found.st_mode):
        # Opening a pipe would wait until something writes to it.
        return Header("special file", 0)
    with open(path, "rb") as file:
        refusal = _refusal(file.read(_FIRST), os.fspath(path), webp=webp)
        if refusal is not None or not exif:
            return Header(refusal, found.st_size)
        file.seek(0)
        return Header(None, found.st_size, orientation(file))


def advice(refusal: str) -> str:
    """Returns what to do about files that are not read; empty if nothing."""
    if not refusal.endswith(" image"):
        return ""
    return "not supported: convert to JPEG or PNG"


def _refusal(start: bytes, path: str, *, webp: bool) -> str | None:
    if start.startswith(_READ):
        return None
    if not start:
        return "empty file"
    if start[:4] == b"RIFF" and start[8:12] == b"WEBP":
        return _refused_webp(start, webp=webp)
    if start.startswith(b"BM") and len(start) >= 26:
        return _refused_bmp(start)
    if start[4:8] == b"ftyp":
        brands = start[8 : min(len(start), int.from_bytes(start[:4], "big"))]
        for brand, kind in _BRANDS:
            if brand in brands:
                return f"{kind} image"
        return "video file"
    for magic, kind in _OTHER_IMAGES.items():
        if start.startswith(magic):
            raw = kind == "TIFF" and path.lower().endswith(_RAW_SUFFIXES)
            return "RAW image" if raw else f"{kind} image"
    return _other(start)


def _refused_webp(start: bytes, *, webp: bool) -> str | None:
    if not webp:
        return "WebP image"
    animated = start[12:16] == b"VP8X" and len(start) > 20 and start[20] & 2
    return "animated WebP image" if animated else None


def _refused_bmp(start: bytes) -> str | None:
    """Returns the type of a BMP that TensorFlow decodes wrongly; None for others."""
    header = int.from_bytes(start[14:18], "little")
    if header in (12, 16, 64):
        return "OS/2 BMP image"
    if header < 40 or len(start) < 34:
        return "other file"
    bits = int.from_bytes(start[28:30], "little")
    if bits not in (24, 32):
        return f"{bits}-bit BMP image"
    packing = int.from_bytes(start[30:34], "little")
    masks = start[54:66]
    if packing == 0 or (packing in (3, 6) and bits == 32 and masks in _MASKS):
        return None
    return "packed BMP image"


_MASKS = (
    bytes.fromhex("0000ff0000ff0000ff000000"),
    bytes.fromhex("ff00000000ff00000000ff00"),
)
"""The masks of red, green and blue, as in a file."""


def _other(start: bytes) -> str:
    try:
        # The last character may be incomplete.
        text = start.decode("utf-8-sig", "strict" if len(start) < _FIRST else "ignore")
    except UnicodeDecodeError:
        return "other file"
    strange = any(ord(letter) < 32 and letter not in "\t\n\r\f\v" for letter in text)
    if strange or len(text) < len(start) // 4:
        return "other file"
    return "SVG image" if "<svg" in text else "text file"
