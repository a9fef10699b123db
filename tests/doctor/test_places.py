"""Folders are really written and read, and then are as before."""

from __future__ import annotations

import os
import shutil

import pytest

from sslkit.doctor import places
from sslkit.doctor.places import check_disk, check_memory, check_read, check_write


def test_a_workdir_is_written_to_and_not_changed(tmp_path):
    (tmp_path / "there").mkdir()
    for name in ("there", "not/yet"):
        found = check_write(str(tmp_path / name), seconds=60)
        assert found.level == "ok", found
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["there"]


def test_a_workdir_that_is_a_file_is_broken(tmp_path):
    (tmp_path / "file").touch()
    found = check_write(str(tmp_path / "file" / "W"), seconds=60)
    assert (found.level, found.about) == ("broken", "workdir")
    assert found.said.endswith(f"NotADirectoryError: {tmp_path / 'file'} is a file")


@pytest.mark.skipif(os.geteuid() == 0, reason="everything is open to root")
def test_a_workdir_that_may_not_be_written_is_broken(tmp_path):
    tmp_path.chmod(0o500)
    assert check_write(str(tmp_path), seconds=60).level == "broken"


def test_data_is_read(tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "x.jpg").write_bytes(b"x")
    found = check_read(f"folder:{tmp_path}", seconds=60)
    assert (found.level, "can be read: 1 entries" in found.said) == ("ok", True)


def test_missing_data_is_broken(tmp_path):
    found = check_read(str(tmp_path / "no"), seconds=60)
    assert (found.level, found.about) == ("broken", "data")
    assert "cannot be read: FileNotFoundError" in found.said


def test_a_folder_that_takes_too_long_is_broken(tmp_path):
    # No process begins and ends in a millisecond.
    found = check_read(str(tmp_path), seconds=0.001)
    assert found.level == "broken"
    assert "does not end within 0.001 seconds" in found.said


@pytest.mark.parametrize(("gib", "level"), [(0.5, "broken"), (5, "note"), (50, "ok")])
def test_a_disk_that_is_nearly_full_is_reported(tmp_path, monkeypatch, gib, level):
    usage = shutil.disk_usage(tmp_path)._replace(free=int(gib * 2**30))
    monkeypatch.setattr(places.shutil, "disk_usage", lambda path: usage)
    found = check_disk(str(tmp_path / "not" / "yet"), "the workdir")
    assert (found.level, found.about) == (level, "disk")
    assert found.said.startswith(f"{gib:.1f} GiB free for the workdir ({tmp_path})")


def test_memory_is_that_of_the_container(monkeypatch):
    limits = {"memory.max": 2 * 2**30, "memory.current": 2**30}
    monkeypatch.setattr(places, "_number", lambda path: limits[os.path.basename(path)])
    (found,) = check_memory()
    assert "1.0 of 2.0 GiB memory free" in found.said
    assert found.level == "note"


def test_a_bucket_is_written_read_and_not_changed():
    import tensorflow as tf

    from sslkit.doctor.probe import _read_remote, _write_remote

    tf.io.gfile.makedirs("ram://doctor/W")
    assert _write_remote("ram://doctor/W") == "ram://doctor/W"
    assert tf.io.gfile.listdir("ram://doctor/W") == []
    assert _read_remote("ram://doctor") == "1 entries"
    with pytest.raises(tf.errors.NotFoundError):
        _read_remote("ram://doctor/none")
