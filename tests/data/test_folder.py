import io
import pathlib

import numpy as np
import PIL.Image
import pytest
import tensorflow as tf

from sslkit.data import data
from sslkit.errors import UserError

SPLITS = ("train", "test")


def write(path: pathlib.Path, value: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = tf.fill([4, 5, 3], tf.constant(value, tf.uint8))
    path.write_bytes(tf.io.encode_png(image).numpy())


def folder(path, part="train", **splits):
    return data(name=f"folder:{path}", **splits).source(part)


def everything(source):
    return list(source.read(tf.data.Dataset.range(source.size)).as_numpy_iterator())


def values(source):
    return [int(e["image"][0, 0, 0]) for e in everything(source)]


def labels(source):
    found = [int(e["label"]) for e in everything(source)]
    assert source.labels().tolist() == found
    return found


def refusal(path, part="train", **splits):
    with pytest.raises(UserError) as error:
        folder(path, part, **splits)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_flat_folder_is_unlabelled_and_sorted(tmp_path):
    for name, value in (("b.png", 2), ("a.png", 1), ("deep/down/c.png", 3)):
        write(tmp_path / name, value)
    source = folder(tmp_path)
    assert source.size == 3
    assert source.classes is None
    assert source.label_names == ()
    assert values(source) == [1, 2, 3]
    assert labels(source) == [-1, -1, -1]
    assert source.describe(2) == str(tmp_path / "deep/down/c.png")


def test_sub_folders_are_classes(tmp_path):
    for name in ("cat/1.png", "dog/1.png", "dog/more/2.png", "dog/more/3.png"):
        write(tmp_path / name)
    source = folder(tmp_path)
    assert source.label_names == ("cat", "dog")
    assert source.classes == 2
    assert labels(source) == [0, 1, 1]


def test_a_tenth_of_each_class_is_held_out_where_there_are_no_splits(tmp_path):
    for number in range(23):
        write(tmp_path / f"cat/{number:02d}.png", number)
    for number in range(30, 34):
        write(tmp_path / f"dog/{number}.png", number)
    write(tmp_path / "emu/50.png", 50)
    train, test = folder(tmp_path), folder(tmp_path, "test")
    # Images with a hash of the path below 0.1, or the lowest of a class.
    assert values(test) == [7, 14, 18, 33]
    assert labels(test) == [0, 0, 0, 1]
    assert sorted(values(train) + values(test)) == [*range(23), *range(30, 34), 50]
    assert train.label_names == test.label_names == ("cat", "dog", "emu")
    assert refusal(tmp_path, "test", test="val").startswith(
        f"{tmp_path} has no split 'val', only train and test"
    )


def test_images_that_are_added_leave_the_others_in_their_split(tmp_path):
    for number in range(40):
        write(tmp_path / f"cat/{number:02d}.png", number)
        write(tmp_path / f"dog/{number:02d}.png", 100 + number)
    before = {split: set(values(folder(tmp_path, split))) for split in SPLITS}
    for number in range(8):
        write(tmp_path / f"cat/a first one {number}.png", 200 + number)
    for split in SPLITS:
        now = {value for value in values(folder(tmp_path, split)) if value < 200}
        assert now == before[split]


def test_one_sub_folder_is_not_a_class(tmp_path):
    write(tmp_path / "images/1.png")
    assert folder(tmp_path).classes is None


def test_splits_are_sub_folders_and_share_classes(tmp_path):
    for name in ("train/a/1.png", "train/b/1.png", "val/b/7.png"):
        write(tmp_path / name)
    assert labels(folder(tmp_path)) == [0, 1]
    test = folder(tmp_path, "test", test="val")
    assert labels(test) == [1]
    assert test.classes == 2
    assert refusal(tmp_path, "test") == (
        f"{tmp_path} has no split 'test'; it has train, val. Set data.test to one of "
        f"them, or make {tmp_path / 'test'}"
    )


def test_a_class_that_training_lacks(tmp_path):
    for name in ("train/a/1.png", "train/b/1.png", "test/c/1.png"):
        write(tmp_path / name)
    message = refusal(tmp_path, "test")
    assert "has the class 'c'" in message
    assert "a, b" in message


def test_missing_test_split_matters_only_when_asked_for(tmp_path):
    write(tmp_path / "1.png")
    both = data(name=f"folder:{tmp_path}")
    assert both.source("train").size == 1
    with pytest.raises(UserError, match="has no split 'test', only train, because"):
        both.source("test")


def test_no_such_folder(tmp_path):
    gone = tmp_path / "gone"
    assert refusal(gone).startswith(f"{gone} does not exist")
    write(tmp_path / "1.png")
    assert refusal(tmp_path / "1.png").startswith(f"{tmp_path / '1.png'} is not a fold")


def test_empty_folder_and_no_images(tmp_path):
    assert refusal(tmp_path).startswith(
        f"{tmp_path} has no JPEG, PNG, GIF, WebP or BMP image (it is empty)"
    )
    (tmp_path / "notes.jpg").write_text("not a picture")
    assert "(1 text file)" in refusal(tmp_path)


def test_unreadable_file(tmp_path):
    write(tmp_path / "1.png")
    (tmp_path / "2.png").symlink_to(tmp_path / "gone.png")
    assert refusal(tmp_path).startswith(f"cannot read {tmp_path / '2.png'} (No such")


def test_unreadable_folder(tmp_path, monkeypatch):
    write(tmp_path / "locked/1.png")
    # Not by permissions, which have no effect for root.
    plain = __import__("os").scandir

    def scandir(path):
        if str(path).endswith("locked"):
            raise PermissionError(13, "Permission denied", str(path))
        return plain(path)

    monkeypatch.setattr("os.scandir", scandir)
    assert refusal(tmp_path).startswith(
        f"cannot read {tmp_path / 'locked'} (Permission denied)"
    )


def test_left_out_files_are_counted(tmp_path):
    write(tmp_path / "picture.without.ending")
    (tmp_path / "README.md").write_text("hello")
    (tmp_path / "empty.jpg").touch()
    write(tmp_path / ".hidden/1.png")
    write(tmp_path / ".1.png")
    source = folder(tmp_path)
    assert source.size == 1
    assert source.summary() == (
        f"data folder:{tmp_path}: no classes, 1 training image and no test images, "
        "because there are no classes; left out: 1 empty file, 1 text file, 2 hidden "
        "files or folders"
    )
    assert source.skipped() == [
        "left out 2 files:",
        f"{tmp_path / 'README.md'}: text file",
        f"{tmp_path / 'empty.jpg'}: empty file",
    ]


def test_folder_loops_end(tmp_path):
    write(tmp_path / "a/1.png")
    (tmp_path / "a/again").symlink_to(tmp_path)
    assert folder(tmp_path).size == 1


def encode(image: PIL.Image.Image, kind: str) -> bytes:
    out = io.BytesIO()
    image.save(out, kind)
    return out.getvalue()


def colour(mode: str) -> PIL.Image.Image:
    return PIL.Image.new("RGB", (5, 4), (200, 100, 50)).convert(mode)


GREY = colour("L").getpixel((0, 0))
PIXEL_FORMATS = {
    "grey jpeg": (lambda: encode(colour("L"), "JPEG"), (GREY,) * 3),
    "cmyk jpeg": (lambda: encode(colour("CMYK"), "JPEG"), (200, 100, 50)),
    "grey png": (lambda: encode(colour("L"), "PNG"), (GREY,) * 3),
    "grey png with alpha": (lambda: encode(colour("LA"), "PNG"), (GREY,) * 3),
    "png with alpha": (lambda: encode(colour("RGBA"), "PNG"), (200, 100, 50)),
    "palette png": (
        lambda: encode(colour("RGB").quantize(4), "PNG"),
        (200, 100, 50),
    ),
    "16-bit png": (
        lambda: tf.io.encode_png(
            tf.fill([4, 5, 3], tf.constant(40000, tf.uint16))
        ).numpy(),
        (40000 >> 8,) * 3,
    ),
    "bmp": (lambda: encode(colour("RGB"), "BMP"), (200, 100, 50)),
    "bmp with alpha": (lambda: encode(colour("RGBA"), "BMP"), (200, 100, 50)),
}


@pytest.mark.parametrize("kind", PIXEL_FORMATS)
def test_pixel_formats_are_decoded_to_rgb(tmp_path, kind):
    content, pixel = PIXEL_FORMATS[kind]
    (tmp_path / "1").write_bytes(content())
    (only,) = everything(folder(tmp_path))
    assert only["image"].dtype == np.uint8
    assert only["image"].shape == (4, 5, 3)
    # JPEG rounds a flat colour by up to 2 levels; the others are exact.
    allowed = 2 if "jpeg" in kind else 0
    assert np.abs(only["image"][1, 1].astype(int) - pixel).max() <= allowed


def test_gif_gives_its_first_frame(tmp_path):
    frames = [PIL.Image.new("RGB", (5, 4), c) for c in ("red", "lime")]
    frames[0].save(tmp_path / "1.gif", save_all=True, append_images=frames[1:])
    (only,) = everything(folder(tmp_path))
    assert only["image"].shape == (4, 5, 3)
    assert only["image"][0, 0].tolist() == [255, 0, 0]


def test_palette_bmp_is_not_misread(tmp_path):
    (tmp_path / "1.bmp").write_bytes(encode(colour("P"), "BMP"))
    assert "(1 8-bit BMP image (not supported: convert to" in refusal(tmp_path)


def test_diagnose_names_broken_files(tmp_path):
    for number in range(8):
        write(tmp_path / f"{number}.png", number)
    for number in (2, 5, 6):
        path = tmp_path / f"{number}.png"
        path.write_bytes(path.read_bytes()[:50])
    source = folder(tmp_path)
    (tmp_path / "7.png").unlink()
    with pytest.raises(tf.errors.OpError):
        everything(source)
    lines = source.diagnose()
    assert [line.split(": ")[0] for line in lines] == [
        str(tmp_path / f"{number}.png") for number in (2, 5, 6, 7)
    ]
    assert "No such file" in lines[3]
    for noise in ("{{", "Graph execution", "user-defined function", "Iterator::"):
        assert not any(noise in line for line in lines)
    assert len(source.diagnose(limit=2)) == 2
    assert source.diagnose([0, 1, 3]) == []
    assert len(source.diagnose([1, 6, 0])) == 1
    assert source.diagnose([]) == []
