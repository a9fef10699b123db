"""Images with those that are most like them."""

from __future__ import annotations

import matplotlib.image
import numpy as np
import pytest
import tensorflow as tf

from sslkit.cli.main import main
from sslkit.data import data
from sslkit.errors import UserError
from sslkit.evaluate.features import frozen
from sslkit.pictures import contact_sheet, neighbours

COLOURS = {
    "a/red.png": (250, 10, 10),
    "a/$dark$.png": (120, 5, 5),
    "b/green.png": (10, 250, 10),
    "b/blue.png": (10, 10, 250),
    "b/violet.png": (120, 10, 250),
    "b/broken.png": None,
}


@pytest.fixture
def folder(tmp_path):
    """Flat colours, one of them broken."""
    for name, colour in COLOURS.items():
        path = tmp_path / "photos" / "train" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = tf.broadcast_to(tf.constant(colour or (0, 0, 0), tf.uint8), [8, 8, 3])
        content = tf.io.encode_png(pixels).numpy()
        path.write_bytes(content if colour else content[:-20])
    return tmp_path / "photos"


@pytest.fixture
def encode():
    """Colour as it is, so that the cosine is that of colours."""
    return frozen(lambda images: tf.reduce_mean(images, axis=[1, 2]))


@pytest.fixture
def source(folder):
    return data(name=f"folder:{folder}").source("train")


def cosine(one, other):
    a, b = (np.array(COLOURS[name], float) for name in (one, other))
    return a @ b / np.linalg.norm(a) / np.linalg.norm(b)


def names(source, matches):
    return [source.file(match.place).split("train/")[1] for match in matches]


def test_a_file_of_the_set_finds_others_and_not_itself(source, folder, encode):
    queries = neighbours.from_files([str(folder / "train" / "a" / "red.png")])
    (found,) = neighbours.find(encode, source, queries, size=8, count=2, batch_size=2)
    assert names(source, found) == ["a/$dark$.png", "b/violet.png"]
    # float32
    wanted = [cosine("a/red.png", name) for name in names(source, found)]
    np.testing.assert_allclose([m.cosine for m in found], wanted, atol=1e-6)
    assert neighbours.lines(source, queries, [found])[1] == (
        f"   {wanted[0]:.3f}  {folder}/train/a/$dark$.png (a)"
    )


def test_a_file_from_elsewhere_finds_its_copy(source, folder, encode, tmp_path):
    copy = tmp_path / "copy"
    copy.write_bytes((folder / "train" / "b" / "blue.png").read_bytes())
    (found,) = neighbours.find(
        encode, source, neighbours.from_files([str(copy)]), size=8, count=9
    )
    assert names(source, found)[0] == "b/blue.png"
    assert found[0].cosine == pytest.approx(1, abs=1e-6)
    assert len(found) == 5  # The broken one is left out.


@pytest.mark.slow
def test_a_sheet_of_the_sets_own_images(source, encode, tmp_path):
    queries = neighbours.from_source(source, 99)
    assert len(queries) == 5
    found = neighbours.find(encode, source, queries, size=8, count=3)
    for query, matches in zip(queries, found, strict=True):
        assert query.place not in [match.place for match in matches]
    sheet = neighbours.sheet(source, queries, found)
    dark = next(row for row in sheet if "$dark$" in row.title)
    assert dark.title == "$dark$.png\na\nquery"
    assert dark.captions[0].startswith("red.png\na\n")
    contact_sheet.write(sheet, str(tmp_path / "sheet.png"))
    pixels = matplotlib.image.imread(tmp_path / "sheet.png")
    assert pixels.shape[0] > 5 * 100
    assert np.ptp(pixels[..., :3]) > 0.9


def test_features_that_are_not_finite_are_refused(source):
    queries = neighbours.from_source(source, 1)
    with pytest.raises(UserError, match="not finite"):
        neighbours.find(
            frozen(lambda x: tf.reduce_mean(x, axis=[1, 2]) / 0.0),
            source,
            queries,
            size=8,
            count=1,
        )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "No such file"),
        (b"II*\0", "is not read: TIFF image"),
        (b"hello", "is not read: text file"),
        (b"\x89PNG\r\n\x1a\n", "it is damaged"),
    ],
)
def test_a_query_that_cannot_be_read(tmp_path, content, message):
    path = tmp_path / "query.jpg"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=message):
        neighbours.from_files([str(path)])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--to", "x.jpg"], "x.jpg is not a PNG file"),
        (["--to", "x.png", "--count", "0"], "--count is 0"),
        (["--to", "x.png", "--query", "a", "--rows", "2"], "leave it out with --query"),
    ],
)
def test_options_are_refused_before_anything_is_loaded(options, message, capsys):
    assert main(["neighbours", "--workdir", "none", *options]) == 2
    assert message in capsys.readouterr().err
