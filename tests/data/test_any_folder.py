"""Random folders lead to a true summary and a batch, or to one clear error."""

from __future__ import annotations

import io
import os
import pathlib
import re

import numpy as np
import PIL.Image
import pytest
import tensorflow as tf

from sslkit.data import data
from sslkit.errors import UserError
from sslkit.source import UNREADABLE

FOLDERS = (
    *("cat", "dog", "Zebra", "two words", "ünï", "100", "日本", "a$b", "x[0-9]*", "-r"),
    *("train", "Train", "TEST", "test", "val", "Validation", "training", "images"),
    *("__MACOSX", "@eaDir", ".git", ".hidden", "#recycle", "byte\udcff", "new\nline"),
)
FILES = (
    "1.jpg",
    "2.JPEG",
    "three.png",
    "no ending",
    "ü.webp",
    "5.txt",
    ".6.jpg",
    "7[1]",
)


def image(kind: str, **options) -> bytes:
    pixels = np.random.default_rng(0).integers(0, 256, [8, 8, 3], np.uint8)
    out = io.BytesIO()
    PIL.Image.fromarray(pixels).save(out, kind, **options)
    return out.getvalue()


def turned() -> bytes:
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    return image("JPEG", exif=exif)


JPEG, PNG, WEBP = image("JPEG"), image("PNG"), image("WEBP", lossless=True)
IMAGES = (JPEG, PNG, WEBP, turned(), image("GIF"), image("BMP"))
BROKEN = (JPEG[:60], PNG[:40], WEBP[:30], b"GIF89a")
OTHERS = {
    "TIFF image": image("TIFF"),
    "text file": b"a note",
    "empty file": b"",
    "other file": bytes(range(256)),
}


def grow(root: pathlib.Path, random: np.random.Generator) -> None:
    """Writes a random tree."""

    def some(choices):
        return choices[random.integers(len(choices))]

    root.mkdir()
    folders = [root]
    for _ in range(random.integers(0, 9)):
        parent = root if random.random() < 0.5 else some(folders)
        folder = parent / some(FOLDERS)
        folder.mkdir(exist_ok=True)
        folders.append(folder)
    for _ in range(random.integers(0, 25)):
        path = some(folders[1:] or folders) if random.random() < 0.9 else root
        content = some([*IMAGES * 3, *BROKEN, *OTHERS.values()])
        target = path / f"{random.integers(9)}{some(FILES)}"
        if random.random() < 0.2:
            target = path / some(FILES)
        if not target.exists():
            target.write_bytes(content)
    if random.random() < 0.1:
        link, target = some(folders) / "link", some(folders)
        # A link to a skipped folder would be followed, because it has another name.
        if not link.exists() and not any(map(passed_over, target.parts)):
            link.symlink_to(target, target_is_directory=True)


def passed_over(name: str) -> bool:
    return name.startswith(".") or name in ("__MACOSX", "@eaDir", "#recycle")


def visible(root: pathlib.Path) -> dict[pathlib.Path, bytes]:
    """Returns the files that must be found, without links."""
    found = {}
    for folder, below, files in os.walk(root):
        below[:] = [name for name in below if not passed_over(name)]
        for name in files:
            if not name.startswith("."):
                path = pathlib.Path(folder, name)
                found[path.resolve()] = path.read_bytes()
    return found


def number(pattern: str, text: str) -> int:
    found = re.search(pattern, text)
    return int(found[1].replace(",", "")) if found else 0


def one_line(text: str) -> None:
    assert text.isprintable(), text
    text.encode()


def check(root: pathlib.Path, *, pipeline: bool) -> str:
    """Opens a folder as a run does; returns the result."""
    opened = data(name=f"folder:{root}")
    try:
        train = opened.source("train")
    except UserError as error:
        one_line(str(error))
        assert str(root) in str(error)
        return "refused"
    try:
        test = opened.source("test")
    except UserError as error:
        one_line(str(error))
        test = None
    summary = train.summary()
    one_line(summary)
    understood, _, left_out = summary.partition("; left out: ")
    stated = number(r"(\d[\d,]*) training (?:image|in |and )", understood)
    assert stated == train.size
    tested = number(r"(\d[\d,]*) test image", understood)
    assert tested == (test.size if test is not None else 0)
    classes = number(r"(\d[\d,]*) classes", understood)
    assert classes == (train.classes or 0)
    # Every image is used, or counted as left out.
    files = visible(root)
    images = {p for p, content in files.items() if content in (*IMAGES, *BROKEN)}
    used = set()
    for source in filter(None, (train, test)):
        paths = [pathlib.Path(source.file(i)).resolve() for i in range(source.size)]
        assert len(set(paths)) == source.size
        assert not used & set(paths)
        used |= set(paths)
    assert used <= images
    counted = [int(n) for n in re.findall(r"(?<![\w$])(\d+) images?\b", left_out)]
    # A split with classes that are not in train is named, and not counted.
    if "that can be tested on" in understood:
        assert test is None
    else:
        assert sum(counted) == len(images - used), summary
    for kind, content in OTHERS.items():
        there = sum(other == content for other in files.values())
        assert number(rf"(\d+) {kind}", left_out) == there, summary
    return read(train, pipeline=pipeline)


def read(source, *, pipeline: bool) -> str:
    """Makes a batch: image by image, or by a pipeline, which takes longer to build."""
    places = range(min(4, source.size))
    rows = (source.example(tf.constant(place, tf.int64)) for place in places)
    if pipeline:
        found = source.read(tf.data.Dataset.range(len(places)))
        rows = ((row["image"], row["label"]) for row in found.as_numpy_iterator())
    try:
        for image, label in rows:
            assert image.dtype == np.uint8
            assert image.shape[2] == 3
            assert -1 <= int(label) < (source.classes or 0)
    except UNREADABLE:
        if pipeline:
            message = source.problem(places)
            assert message is not None
            one_line(message)
        return "broken"
    return "read"


def try_folders(root: pathlib.Path, seeds: range, *, every: int) -> dict[str, int]:
    """Counts the results of random folders; some are read by a pipeline."""
    ends = dict.fromkeys(("read", "broken", "refused"), 0)
    for seed in seeds:
        grow(root / str(seed), np.random.default_rng(seed))
        try:
            ends[check(root / str(seed), pipeline=seed % every == 0)] += 1
        except BaseException as error:
            error.add_note(f"seed {seed}")
            raise
    return ends


def test_some_random_folders(tmp_path):
    ends = try_folders(tmp_path, range(60), every=30)
    assert ends["read"] > 15
    assert ends["broken"] > 2
    assert ends["refused"] > 5


@pytest.mark.slow
def test_many_random_folders(tmp_path):
    ends = try_folders(tmp_path, range(100, 500), every=5)
    assert ends["read"] > 100
    assert ends["broken"] > 20
    assert ends["refused"] > 30
