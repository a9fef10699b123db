"""Files are complete or do not exist, and paths are names and not patterns."""

from __future__ import annotations

import errno
import os

import pytest
import tensorflow as tf

from sslkit import storage
from sslkit.errors import UserError, first_line

ODD = ["lr[0.1]", "lr[12]", "a b", "what?", "all*", "back\\slash", "größe-写真"]


@pytest.fixture(params=["disk", "bucket"])
def folder(request, tmp_path):
    return (
        str(tmp_path) if request.param == "disk" else f"ram://storage/{tmp_path.name}"
    )


def put(path: str, text: str) -> None:
    with tf.io.gfile.GFile(path, "w") as file:
        file.write(text)


def got(path: str) -> str:
    with tf.io.gfile.GFile(path) as file:
        return file.read()


def test_what_is_replaced_appears_in_one_move(folder):
    path = f"{folder}/new/file.txt"
    for text in ("one", "two"):
        with storage.replacing(path) as beside:
            assert beside.endswith("file.txt")
            put(beside, text)
            before = storage.names(f"{folder}/new")
            assert ("file.txt" in before) == (text == "two")
        assert got(path) == text
        assert storage.names(f"{folder}/new") == ["file.txt"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_failure_leaves_what_was_there_and_nothing_beside_it(folder, error):
    path = f"{folder}/file.txt"
    with storage.replacing(path) as beside:
        put(beside, "good")
    with pytest.raises(error), storage.replacing(path) as beside:
        put(beside, "half")
        raise error
    assert got(path) == "good"
    assert storage.names(folder) == ["file.txt"]
    with pytest.raises(error), storage.replacing(path):
        raise error  # before anything was written


def test_a_folder_is_replaced_whole(tmp_path):
    for content in ("one", "two"):
        with storage.replacing_folder(tmp_path / "into" / "out") as beside:
            beside.mkdir()
            (beside / content).touch()
        assert [p.name for p in (tmp_path / "into").iterdir()] == ["out"]
        assert [p.name for p in (tmp_path / "into" / "out").iterdir()] == [content]
    with (
        pytest.raises(ValueError),
        storage.replacing_folder(tmp_path / "out") as beside,
    ):
        beside.mkdir()
        raise ValueError
    assert [p.name for p in tmp_path.iterdir()] == ["into"]


def test_names_of_a_folder_that_is_not_there(folder):
    assert storage.names(f"{folder}/none") == []


@pytest.mark.parametrize("name", ODD)
def test_a_plain_name_leads_to_the_files_of_the_path_alone(folder, name):
    prefix = f"{folder}/{name}"
    for path, text in {
        f"{prefix}.index": "its",
        f"{folder}/lr1.index": "another's",
        f"{prefix}0.index": "a neighbour's",
    }.items():
        with storage.replacing(path) as beside:
            put(beside, text)
    with storage.plainly(prefix) as plain:
        assert not storage.is_pattern(plain)
        assert got(f"{plain}.index") == "its"
        if plain != prefix:
            assert len(storage.names(os.path.dirname(plain))) == 1


def test_a_plain_path_is_itself():
    with storage.plainly("gs://bucket/runs/a b") as plain:
        assert plain == "gs://bucket/runs/a b"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            OSError(errno.ENOSPC, "No space left on device", "x"),
            "No space left on device",
        ),
        (tf.errors.NotFoundError(None, None, "x; gone.\nat y"), "x; gone"),
        (ValueError("one.\ntwo"), "one"),
        (ValueError("\n  one\n"), "one"),
        (ValueError(), "ValueError"),
    ],
)
def test_the_first_line_of_an_error(error, said):
    assert first_line(error) == said


def test_what_cannot_be_reached_is_one_line():
    with (
        pytest.raises(
            UserError, match=r"^the list L cannot be written: No space left\.$"
        ),
        storage.reaching("the list", "L", verb="written"),
    ):
        raise OSError(errno.ENOSPC, "No space left")
