"""Mistakes that are cheap to find are reported before TensorFlow is imported."""

from __future__ import annotations

import subprocess
import sys

import pytest

from sslkit.cli import main as module
from sslkit.cli.main import main

RECIPE = "gin/fnc_digits_pretrain.gin"
FULL = "gin/fnc_digits_full.gin"
STEPS = ("--gin", "gin/simclr_folder_cpu_pretrain.gin", "--set", "data.name = 'digits'")
"""A recipe that sets its length in steps."""


@pytest.fixture
def refused(monkeypatch, capsys, tmp_path, repository):
    """Returns the one line of a command that must not start TensorFlow."""

    def start(**options):
        raise AssertionError("TensorFlow was started")

    monkeypatch.setattr(module, "start_tensorflow", start)
    monkeypatch.chdir(repository)

    def run(*arguments: str) -> str:
        before = sorted(tmp_path.rglob("*"))
        assert main(list(arguments)) == 2
        line = capsys.readouterr().err
        assert line.startswith("sslkit: error: ")
        assert line.count("\n") == 1
        assert sorted(tmp_path.rglob("*")) == before
        return line

    return run


@pytest.mark.parametrize("command", ["evaluate", "export", "embed"])
@pytest.mark.parametrize("there", [False, True])
def test_a_folder_that_is_not_a_workdir(refused, tmp_path, command, there):
    folder = tmp_path / "run"
    if there:
        folder.mkdir()
    target = [] if command == "evaluate" else ["--to", str(tmp_path / "x.npz")]
    line = refused(command, "--workdir", str(folder), *target)
    assert f"{folder} is not a workdir of a run: it has no config.gin" in line


@pytest.mark.parametrize("command", ["export", "embed"])
def test_a_file_where_the_output_needs_a_folder(refused, tmp_path, command):
    run = tmp_path / "run"
    run.mkdir()
    (run / "config.gin").touch()
    (tmp_path / "file").touch()
    target = tmp_path / "file" / "deep" / "x.npz"
    line = refused(command, "--workdir", str(run), "--to", str(target))
    assert f"--to {target} cannot be written: {tmp_path / 'file'} is a file" in line


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "--gin", RECIPE, "--set", "train.steps = 0"], "train.steps is 0"),
        (["train", "--gin", FULL, "--set", "train.seed = -1"], "train.seed is -1"),
        (
            ["train", *STEPS, "--set", "train.epochs = 40", "--extend"],
            "--set 'train.epochs = 40' has no effect: train.steps = 300 (gin/simclr_",
        ),
        (["plan", "--gin", "gin/none.gin"], "no recipe 'gin/none.gin'"),
        (["plan", "--gin", RECIPE, "--replicas", "0"], "--replicas is 0"),
        (["views", "--gin", RECIPE, "--to", "x", "--images", "0"], "--images is 0"),
        (["views", "--gin", FULL, "--to", "x"], "several stages. Choose one"),
        (["bench", "input", "--gin", RECIPE, "--seconds", "0"], "--seconds is 0"),
        (["bench", "input", "--gin", "gin/none.gin"], "no recipe"),
        (["evaluate", "--poll", "0"], "--poll is 0 seconds"),
        (["evaluate", "--data", "x", "--follow"], "leave out --data"),
        (["embed", "--to", "x.npz", "--limit", "0"], "--limit is 0"),
        (["replay", "--step", "0"], "--step is 0; steps count from 1"),
        (["replay", "--step", "5"], "is not a workdir of a run: it has no config.gin"),
    ],
)
def test_options_and_recipes(refused, tmp_path, arguments, message):
    if arguments[0] in ("train", "evaluate", "embed", "replay"):
        arguments = [*arguments, "--workdir", str(tmp_path / "run")]
    assert message in refused(*arguments)


def test_tensorflow_is_not_imported_before_the_error(tmp_path):
    code = (
        "import sys; from sslkit.cli.main import main;"
        f"main(['export', '--workdir', {str(tmp_path)!r}, '--to', 'x']);"
        "print(sorted({'tensorflow', 'keras'} & set(sys.modules)))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True
    )
    assert result.stdout.strip() == "[]"
    assert "is not a workdir" in result.stderr
