"""`sslkit config`: the resolved recipe on stdout, notes and errors on stderr."""

from __future__ import annotations

import pathlib
import subprocess
import sys

import pytest

from sslkit.cli.main import main


@pytest.fixture
def recipe(tmp_path: pathlib.Path, monkeypatch) -> str:
    """A recipe of names that the core itself announces."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "gin").mkdir()
    (tmp_path / "gin" / "x.gin").write_text(
        "train.runner = @runners.single()\n"
        "train.objective = @objectives.supervised\n"
        "idle = 3\n"
    )
    return "gin/x.gin"


def test_prints_the_resolved_recipe_and_the_notes(recipe, capsys):
    assert main(["config", "--gin", recipe, "--set", "train.seed = 7"]) == 0
    out, err = capsys.readouterr()
    assert out == (
        "# Resolved from gin/x.gin.\n"
        "\n"
        "train.objective = @objectives.supervised\n"
        "train.runner = @runners.single()\n"
        "train.seed = 7\n"
    )
    assert err == "sslkit: note: gin/x.gin:3: nothing uses idle\n"


def test_recipes_are_listed_with_a_line_about_each(recipe, capsys):
    pathlib.Path(recipe).write_text("# Tiny, for a test.\n# More.\n")
    assert main(["recipes"]) == 0
    lines = dict(line.split("  ", 1) for line in capsys.readouterr().out.splitlines())
    assert lines[recipe].strip() == "Tiny, for a test."
    shipped = lines["gin/fnc_r50_pretrain.gin"].strip()
    assert shipped.startswith("FNC pretraining: ResNet-50, ImageNet")


def test_places_and_data_dir(recipe, capsys):
    arguments = ["--gin", recipe, "--places", "--data-dir", "/data"]
    assert main(["config", *arguments]) == 0
    out = capsys.readouterr().out
    assert "data.data_dir = '/data'  # --data-dir 'data.data_dir" in out
    assert "train.runner = @runners.single()  # gin/x.gin:1\n" in out


def test_all_is_a_recipe_of_the_same_run(recipe, capsys):
    assert main(["config", "--gin", recipe, "--all"]) == 0
    text = capsys.readouterr().out
    assert "# runners.single.device = 'auto'\n" in text
    assert "# train.knn_every = 0\n" in text
    pathlib.Path("all.gin").write_text(text)
    assert main(["config", "--gin", "all.gin"]) == 0
    again = capsys.readouterr().out
    assert main(["config", "--gin", recipe]) == 0
    assert again.splitlines()[1:] == capsys.readouterr().out.splitlines()[1:]


def test_a_mistake_is_a_one_line_error_with_code_2(recipe):
    result = subprocess.run(
        [
            *(sys.executable, "-m", "sslkit", "config", "--gin", recipe),
            *("--set", "train.runner = @runners.singel()"),
        ],
        capture_output=True,
        text=True,
    )
    assert result.returncode == 2
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1
    assert result.stderr.startswith(
        "sslkit: error: --set 'train.runner = @runners.singel()': no runner is called "
        "'singel'. Did you mean 'single'? Installed: "
    )


def test_debug_shows_the_traceback(recipe):
    result = subprocess.run(
        [
            *(sys.executable, "-m", "sslkit", "config", "--gin", "gin/none.gin"),
            "--debug",
        ],
        capture_output=True,
        text=True,
    )
    assert result.returncode == 1
    assert "Traceback" in result.stderr
    assert "sslkit.errors.UserError: there is no recipe 'gin/none.gin'" in result.stderr


def test_a_command_without_a_recipe_is_an_error(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["config"])
    assert caught.value.code == 2
    assert "--gin" in capsys.readouterr().err
