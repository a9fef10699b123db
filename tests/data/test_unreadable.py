"""Data that cannot be read: replaced in training, left out of evaluation, named."""

from __future__ import annotations

import io
import pathlib

import numpy as np
import PIL.Image
import pytest
import tensorflow as tf

from sslkit.api import Augmentation, ViewGroup
from sslkit.data import data, decoding, evaluation_batches, training_batches
from sslkit.deprecation import Renamed
from sslkit.errors import UserError


class Corner(Augmentation):
    """One view: a pixel of the image."""

    groups = {"pixel": ViewGroup(1, 1)}  # noqa: RUF012

    def example(self, image, seed):
        return {"pixel": image[tf.newaxis, :1, :1]}


def png(value: int) -> bytes:
    image = tf.fill([4, 5, 3], tf.constant(value, tf.uint8))
    return tf.io.encode_png(image).numpy()


def jpeg() -> bytes:
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    return tf.io.encode_jpeg(pixels).numpy()


def huge_png() -> bytes:
    # A header for 20,000 by 20,000 pixels; the rest does not matter.
    side = (20_000).to_bytes(4, "big")
    return png(0)[:16] + side + side + png(0)[24:]


def huge_jpeg() -> bytes:
    content = jpeg()
    frame = content.index(b"\xff\xc0")
    side = (20_000).to_bytes(2, "big")
    return content[: frame + 5] + side + side + content[frame + 9 :]


def huge_gif() -> bytes:
    return b"GIF89a" + (20_000).to_bytes(2, "little") * 2 + bytes(20)


def huge_bmp() -> bytes:
    sides = (20_000).to_bytes(4, "little") + (-20_000).to_bytes(
        4, "little", signed=True
    )
    header = b"BM" + bytes(12) + (40).to_bytes(4, "little") + sides
    return header + bytes(2) + (24).to_bytes(2, "little") + bytes(24)


def webp(size: tuple[int, int] = (5, 4)) -> bytes:
    out = io.BytesIO()
    PIL.Image.new("RGB", size, (7, 7, 7)).save(out, "WEBP", lossless=True)
    return out.getvalue()


def huge_webp() -> bytes:
    # 14 bits each, less one: 16,000 by 16,000 pixels.
    sides = (15_999 | 15_999 << 14).to_bytes(4, "little")
    return webp()[:21] + sides + webp()[25:]


BROKEN = {
    "truncated jpeg": lambda: jpeg()[:900],
    "jpeg header alone": lambda: jpeg()[:3],
    "corrupt jpeg": lambda: jpeg()[:30] + bytes(500) + jpeg()[530:],
    "truncated png": lambda: png(7)[:-20],
    "png header alone": lambda: png(7)[:8],
    "corrupt png": lambda: png(7)[:45] + b"\xff\xff" + png(7)[47:],
    "truncated gif": lambda: b"GIF89a\x05\x00\x04\x00",
    "huge png": huge_png,
    "huge jpeg": huge_jpeg,
    "huge gif": huge_gif,
    "huge bmp": huge_bmp,
    "truncated webp": lambda: webp((64, 64))[:-20],
    "webp header alone": lambda: webp()[:12],
    "huge webp": huge_webp,
}


def folder(path: pathlib.Path, bad: dict[int, bytes], size: int = 10):
    """Writes images of the colours 0, 1, 2, ..., some of them broken."""
    path.mkdir(exist_ok=True)
    for number in range(size):
        (path / f"{number:02d}.png").write_bytes(bad.get(number, png(number)))
    return path


def source(path, **options):
    return data(name=f"folder:{path}", **options).source("train")


def epochs(opened, count: int = 2, **options):
    batches = training_batches(
        opened,
        Corner(),
        seed=3,
        batch_size=opened.size,
        start_step=options.pop("start", 0),
        stop_step=count,
        context=options.pop("context", tf.distribute.InputContext()),
    )
    return [
        batch.views["pixel"][:, 0, 0, 0, 0] for batch in batches.as_numpy_iterator()
    ]


# What is kept in memory is decoded as for a disk.
CACHES = pytest.mark.parametrize(
    "cache", [None, pytest.param("memory", marks=pytest.mark.slow), "disk"]
)


@CACHES
def test_broken_images_are_replaced_by_the_next_and_named(tmp_path, cache):
    size = 2 * len(BROKEN)
    bad = {2 * place: make() for place, make in enumerate(BROKEN.values())}
    whole = source(folder(tmp_path / "whole", {}, size))
    opened = source(folder(tmp_path / "bad", bad, size), cache=cache)
    for found, wanted in zip(epochs(opened), epochs(whole), strict=True):
        np.testing.assert_array_equal(found, wanted + (wanted % 2 == 0))
    assert whole.skipped() == []
    count, *lines = opened.skipped()
    assert count.startswith(f"skipped {len(bad)} of {size} examples of folder:")
    for line, number, kind in zip(lines, bad, BROKEN, strict=True):
        assert line.startswith(f"{tmp_path / 'bad' / f'{number:02d}.png'}: ")
        too_large = "an image of more than 100,000,000 pixels" in line
        assert too_large == kind.startswith("huge")


@CACHES
def test_a_row_of_broken_images_at_the_end_wraps_round(tmp_path, cache):
    bad = dict.fromkeys((0, 7, 8, 9), b"GIF89a")
    opened = source(folder(tmp_path, bad), cache=cache)
    (seen,) = epochs(opened, 1)
    assert sorted(seen) == [1, 1, 1, 1, 1, 2, 3, 4, 5, 6]
    assert opened.skipped()[0].startswith("skipped 4 of 10")
    assert opened.skipped(limit=2)[-1] == "and 2 more"


def test_replacement_does_not_depend_on_hosts_or_restarts(tmp_path):
    opened = source(folder(tmp_path, {2: b"GIF89a", 5: b"GIF89a"}))
    whole = epochs(opened, 3)
    np.testing.assert_array_equal(epochs(opened, 3, start=2)[0], whole[2])
    hosts = [
        epochs(opened, 3, context=tf.distribute.InputContext(2, host, 2))
        for host in range(2)
    ]
    for step, batch in enumerate(whole):
        np.testing.assert_array_equal(
            np.concatenate([host[step] for host in hosts]), batch
        )


def test_only_broken_images_end_the_run(tmp_path):
    bad = folder(tmp_path, dict.fromkeys(range(10), b"GIF89a"))
    with pytest.raises(tf.errors.InvalidArgumentError):
        epochs(source(bad))
    with pytest.raises(UserError, match=r"skipped 10 of 10 .*\n.*00\.png: "):
        source(bad, cache="memory")


@CACHES
def test_evaluation_leaves_broken_images_out(tmp_path, cache):
    opened = source(folder(tmp_path, {3: b"GIF89a"}), cache=cache)
    batches = evaluation_batches(
        opened, size=1, batch_size=4, view=lambda image: image[:1, :1]
    )
    rows = list(batches.as_numpy_iterator())
    weight = np.concatenate([row["weight"] for row in rows])
    index = np.concatenate([row["index"] for row in rows])
    assert np.flatnonzero(weight == 0).tolist() == [3, 10, 11]
    assert index[weight == 0].tolist() == [-1, -1, -1]
    assert index[weight == 1].tolist() == [0, 1, 2, 4, 5, 6, 7, 8, 9]
    assert opened.skipped()[0].startswith("skipped 1 of 10")


def test_raise_ends_the_run(tmp_path):
    opened = source(folder(tmp_path, {3: b"GIF89a"}), on_error="raise")
    with pytest.raises(tf.errors.InvalidArgumentError):
        epochs(opened)
    assert opened.diagnose()[0].startswith(f"{tmp_path / '03.png'}: ")
    with pytest.raises(UserError, match=r"cannot read .*03\.png: .*repair or remove"):
        source(tmp_path, on_error="raise", cache="memory")


def test_examples_that_can_be_read_by_now_are_reported(tmp_path):
    opened = source(folder(tmp_path, {3: b"GIF89a"}))
    epochs(opened, 1)
    (tmp_path / "03.png").write_bytes(png(3))
    assert opened.skipped()[1:] == [
        "1 that can be read now by this process: a disk, or a worker of data.service, "
        "failed before"
    ]


def test_files_that_are_not_images(tmp_path):
    folder(tmp_path, {})
    (tmp_path / "notes.txt").write_text("not an image")
    assert source(tmp_path).skipped() == [
        "left out 1 file:",
        f"{tmp_path / 'notes.txt'}: text file",
    ]
    with pytest.raises(UserError, match=r"notes\.txt is not read: text file.*= 'skip'"):
        source(tmp_path, on_error="raise")


@pytest.mark.parametrize("shape", [(1, 1), (1, 20_000), (20_000, 1)])
def test_odd_shapes_are_images(shape):
    image = tf.fill([*shape, 3], tf.constant(9, tf.uint8))
    for encode in (tf.io.encode_png, tf.io.encode_jpeg):
        np.testing.assert_array_equal(decoding.decode(encode(image)), image)


def test_a_record_of_another_schema(tmp_path, shared_data):
    import shutil

    name = "imagenet2012_subset/1pct"
    shutil.copytree(shared_data / name, tmp_path / name)
    for path in tmp_path.rglob("*"):
        path.chmod(0o755)
    (shard,) = tmp_path.glob("*/1pct/*/*train*")
    records = [r.numpy() for r in tf.data.TFRecordDataset(str(shard))]
    feature = tf.train.Feature(int64_list=tf.train.Int64List(value=[1]))
    other = tf.train.Example(
        features=tf.train.Features(feature={"image": feature, "label": feature})
    )
    records[2] = other.SerializeToString()
    records[5] = records[5][:-100]
    with tf.io.TFRecordWriter(str(shard)) as writer:
        for record in records:
            writer.write(record)
    opened = data(
        name=name, data_dir=str(tmp_path), cache_dir=str(tmp_path / "cache")
    ).source("train")
    epochs(opened, 1)
    count, *lines = opened.skipped()
    assert count.startswith("skipped 2 of 16")
    assert all(str(shard) in line for line in lines)


@pytest.mark.parametrize(("option", "value"), [("on_error", "stop"), ("cache", "ram")])
def test_unknown_options_are_refused(option, value):
    with pytest.raises(UserError, match=f"data.{option} is '{value}'; it must be"):
        data(name="digits", **{option: value})


def test_the_error_line_has_an_old_name(tmp_path):
    opened = source(folder(tmp_path, {3: b"GIF89a"}))
    with pytest.warns(Renamed, match=r"Source\.complaint is now Source\.problem"):
        line = opened.complaint([3])
    assert line == opened.problem([3])
