"""The cache of compiled programs on disk."""

from __future__ import annotations

import os
import pathlib
import shutil
import subprocess
import sys

import pytest

from sslkit import programs
from sslkit.errors import UserError

WHOLE = b"\x0a\x03key\x12\x04hlo!\x1a\x07program"
"""Three fields, as TensorFlow writes them."""


@pytest.fixture(autouse=True)
def environment(tmp_path, monkeypatch):
    """An environment that is restored, in which this process has not started yet."""
    for name in ("TF_XLA_FLAGS", "XLA_FLAGS", programs.SIZE, programs._OWN):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(programs.FOLDER, str(tmp_path / "kept"))
    monkeypatch.setattr(programs.atexit, "register", lambda leave: None)


def own() -> pathlib.Path:
    """Starts like a new process; returns its folder."""
    for name in ("TF_XLA_FLAGS", "XLA_FLAGS", programs._OWN):
        os.environ.pop(name, None)
    programs.start()
    return pathlib.Path(os.environ["TF_XLA_FLAGS"].partition("=")[2])


def names(folder: pathlib.Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*.pb"))


def test_what_one_process_compiles_the_next_one_finds():
    folder = own()
    (folder / "a.pb").write_bytes(WHOLE)
    programs._leave()
    assert not folder.exists()
    assert names(own()) == ["a.pb"]


def test_programs_are_kept_before_the_process_ends():
    folder = own()
    (folder / "a.pb").write_bytes(WHOLE)
    programs.keep()
    shutil.rmtree(folder)  # it is killed
    assert names(own()) == ["a.pb"]


@pytest.mark.parametrize("length", [0, 1, 5, 9, 12, len(WHOLE) - 1])
def test_a_program_that_was_cut_off_is_neither_kept_nor_found(length):
    folder = own()
    (folder / "a.pb").write_bytes(WHOLE[:length])
    programs.keep()
    assert names(folder.parent) == []
    (folder.parent / "b.pb").write_bytes(WHOLE[:length])
    assert names(own()) == ["a.pb"]  # of the same process, as it left it


def test_a_program_that_does_not_fit_is_dropped_for_all():
    folder = own()
    (folder / "a.pb").write_bytes(WHOLE)
    programs.keep()
    assert programs.forget() == 1
    assert names(folder) == names(folder.parent) == []
    assert programs.forget() == 0


def test_what_was_not_used_for_longest_goes_first(monkeypatch):
    folder = own()
    for age, name in enumerate(["new", "old", "older"]):
        path = folder.parent / f"{name}.pb"
        path.write_bytes(WHOLE + b"\x1a\x00" * 5000)
        os.utime(path, (1e9 - 1000 * age,) * 2)
    shutil.rmtree(folder)
    monkeypatch.setenv(programs.SIZE, str(22_000 / 2**30))
    assert names(own()) == ["new.pb", "old.pb"]


def test_the_folder_of_a_process_that_is_gone_is_removed():
    folder = own()
    ended = subprocess.run(["sh", "-c", "echo $$"], capture_output=True, check=True)
    gone = folder.with_name(
        folder.name.replace(str(os.getpid()), str(int(ended.stdout)))
    )
    there = folder.with_name(folder.name.replace(str(os.getpid()), str(os.getppid())))
    for path in (gone, there):
        path.mkdir()
        (path / "a.pb").write_bytes(WHOLE)
    own()
    assert there.exists()
    assert not gone.exists()


def test_other_settings_have_other_programs(monkeypatch):
    first = own().parent
    monkeypatch.setenv("TF_DETERMINISTIC_OPS", "1")
    assert own().parent != first


def test_a_process_does_not_write_where_its_parent_does(monkeypatch):
    folder = own()
    child = os.getppid()  # any running process
    monkeypatch.setattr(os, "getpid", lambda: child)
    assert programs.place() == f"kept in {folder}"
    programs.start()
    flags = os.environ["TF_XLA_FLAGS"]
    assert flags.count("--") == 1
    assert flags.endswith(f"-{child}")
    assert flags != f"--tf_xla_persistent_cache_directory={folder}"


def test_off_keeps_none(monkeypatch):
    monkeypatch.setenv(programs.FOLDER, "off")
    programs.start()
    assert "TF_XLA_FLAGS" not in os.environ
    assert programs.place() == "not kept"
    programs.keep()
    assert programs.forget() == 0


def test_a_folder_that_tensorflow_was_told_of_stays(monkeypatch, tmp_path):
    flags = f"--tf_xla_persistent_cache_directory={tmp_path}/mine --tf_xla_auto_jit=2"
    monkeypatch.setenv("TF_XLA_FLAGS", flags)
    programs.start()
    assert os.environ["TF_XLA_FLAGS"] == flags
    assert programs.place() == f"kept in {tmp_path}/mine"


@pytest.mark.parametrize("text", ["none", "0", "-1", "nan", "inf"])
def test_an_impossible_size_is_refused(monkeypatch, text):
    monkeypatch.setenv(programs.SIZE, text)
    with pytest.raises(UserError, match=r"SSLKIT_PROGRAMS_GIB is .* GiB above 0"):
        programs.start()


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("file", "cannot be written: Not a directory"),
        ("file/below", "cannot be written: Not a directory"),
        ("with a space", "cannot be written: TensorFlow does not accept a name"),
    ],
)
def test_a_folder_that_was_asked_for_and_cannot_be_written_is_refused(
    monkeypatch, tmp_path, name, says
):
    (tmp_path / "file").touch()
    monkeypatch.setenv(programs.FOLDER, str(tmp_path / name))
    with pytest.raises(UserError) as caught:
        programs.start()
    assert f"SSLKIT_PROGRAMS is {tmp_path}/{name}, which" in str(caught.value)
    assert says in str(caught.value)
    assert str(caught.value).endswith("Name another folder, or off.")
    assert "TF_XLA_FLAGS" not in os.environ


def test_a_default_folder_that_cannot_be_written_is_said_and_left_out(
    monkeypatch, tmp_path
):
    (tmp_path / "file").touch()
    monkeypatch.delenv(programs.FOLDER)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    programs.start()
    assert "TF_XLA_FLAGS" not in os.environ
    assert programs.place() == (
        f"not kept: {tmp_path}/file/sslkit/programs cannot be written; set "
        "SSLKIT_PROGRAMS to a folder"
    )


def test_a_bucket_is_refused(monkeypatch):
    monkeypatch.setenv(programs.FOLDER, "gs://bucket/programs")
    with pytest.raises(UserError, match="kept on a disk"):
        programs.start()


COMPILES = """
import os, sys
from sslkit import programs
programs.start()
os.environ["XLA_FLAGS"] = programs._AUTOTUNE + "=" + sys.argv[1]  # a flag it knows
import tensorflow as tf
for _ in range(int(sys.argv[2])):
    tf.constant(1.0) + 1.0  # what the count of tensors depends on
programs.steady_names()
weights = tf.Variable(tf.range(12.0))

@tf.function(jit_compile=True)
def step(x):
    weights.assign(tf.nn.softmax(weights * x))
    return tf.reduce_sum(weights**2)

@tf.function
def loop(n):
    value = 0.0
    for _ in tf.range(n):
        value = step(1.5)
    return value

for n in (1, 3):
    print(float(loop(tf.constant(n))).hex())
"""


@pytest.mark.slow
def test_a_program_is_compiled_once_and_found_by_the_next_process(tmp_path):
    """The step of a loop is one program, whatever the number of steps."""
    script = tmp_path / "compiles.py"
    script.write_text(COMPILES)
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}

    def started(tensors: int) -> str:
        return subprocess.run(
            [sys.executable, script, str(tmp_path), str(tensors)],
            env=environment,
            check=True,
            capture_output=True,
            text=True,
        ).stdout

    first = started(3)
    (program,) = (tmp_path / "kept").glob("*/*.pb")
    before = program.stat().st_ino
    assert started(70) == first
    (again,) = (tmp_path / "kept").glob("*/*.pb")
    assert again.stat().st_ino == before
