"""The orientation of a photograph, from the EXIF data in its file.

Only a few kilobytes are read: the segments of a JPEG and the chunks of a PNG that come
before the pixels, and the headers of all chunks of a WebP.
"""

from __future__ import annotations

import struct
from typing import BinaryIO

__all__ = ["UPRIGHT", "orientation"]

UPRIGHT = 1
"""The orientation of an image that needs no rotation."""

_TAG = 0x0112
_SHORT = 3
_MOST = 100  # segments, chunks or entries looked at
_LONGEST = 1 << 16  # bytes of EXIF data looked at: what a JPEG's segment can hold


def orientation(file: BinaryIO) -> int:
    """Reads how an image has to be rotated to be upright.

    Args:
        file: an image of any kind, open at its beginning.

    Returns:
        1 to 8, as numbered by EXIF 2.3; 1 if there is no entry, or no valid one.
    """
    start = file.read(12)
    try:
        if start.startswith(b"\xff\xd8"):
            file.seek(2)
            data = _of_jpeg(file)
        elif start.startswith(b"\x89PNG"):
            file.seek(8)
            data = _of_png(file)
        elif start.startswith(b"RIFF") and start.endswith(b"WEBP"):
            data = _of_webp(file)
        else:
            return UPRIGHT
        return _of_tiff(data) if data is not None else UPRIGHT
    except struct.error:
        return UPRIGHT  # The file ends too early; the decoder will report it.


def _of_jpeg(file: BinaryIO) -> bytes | None:
    for _ in range(_MOST):
        mark, kind, length = struct.unpack(">BBH", file.read(4))
        while kind == 0xFF:  # Fill bytes before a segment.
            (low,) = struct.unpack(">B", file.read(1))
            kind, length = length >> 8, (length & 0xFF) << 8 | low
        if mark != 0xFF or kind in (0xDA, 0xD9) or length < 2:
            return None
        if kind == 0xE1:
            data = file.read(length - 2)
            if data.startswith(b"Exif\0"):
                return data[6:]
        else:
            file.seek(length - 2, 1)
    return None


def _of_png(file: BinaryIO) -> bytes | None:
    for _ in range(_MOST):
        length, kind = struct.unpack(">I4s", file.read(8))
        if kind == b"eXIf":
            return file.read(min(length, _LONGEST))
        if kind in (b"IDAT", b"IEND"):
            return None
        file.seek(length + 4, 1)
    return None


def _of_webp(file: BinaryIO) -> bytes | None:
    for _ in range(_MOST):
        kind, length = struct.unpack("<4sI", file.read(8))
        if kind in (b"VP8 ", b"VP8L"):
            # The simple layout has only pixels; the extended one begins with VP8X.
            if file.tell() == 20:
                return None
        elif kind == b"EXIF":
            return file.read(min(length, _LONGEST)).removeprefix(b"Exif\0\0")
        file.seek(length + length % 2, 1)
    return None


def _of_tiff(data: bytes) -> int:
    order = {b"II": "<", b"MM": ">"}.get(data[:2])
    if order is None:
        return UPRIGHT
    magic, first = struct.unpack_from(f"{order}HI", data, 2)
    if magic != 42:
        return UPRIGHT
    (entries,) = struct.unpack_from(f"{order}H", data, first)
    for place in range(min(entries, _MOST)):
        tag, kind, count, value = struct.unpack_from(
            f"{order}HHIH", data, first + 2 + 12 * place
        )
        if tag == _TAG:
            sensible = kind == _SHORT and count == 1 and 1 <= value <= 8
            return value if sensible else UPRIGHT
    return UPRIGHT
