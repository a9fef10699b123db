"""`sslkit views` and `sslkit bench`: what they write and print."""

from __future__ import annotations

import numpy as np
import PIL.Image
import pytest

from sslkit.cli.main import main
from sslkit.plan import throughput

RECIPE = "gin/fnc_digits_pretrain.gin"


def run(*arguments: str) -> int:
    return main([*arguments, "--debug"])


@pytest.fixture(autouse=True)
def in_the_checkout(repository, monkeypatch):
    monkeypatch.chdir(repository)


def test_views_draws_one_row_per_image(tmp_path, capsys):
    out = tmp_path / "views.png"
    plain = ["augmentations.fnc.strength = 0"]  # Quick to compile.
    plain += ["augmentations.fnc.randaugment_layers = 0"]
    settings = [word for setting in plain for word in ("--set", setting)]
    arguments = ["--gin", RECIPE, *settings, "--to", str(out), "--images", "2"]
    assert run("views", *arguments) == 0
    assert f"written: {out}, 2 images of digits/train" in capsys.readouterr().out
    picture = PIL.Image.open(out)
    # A row is 1.75 inches high at 100 dots per inch.
    assert picture.height == 350
    assert np.ptp(np.asarray(picture)) == 255


def test_views_refuses_no_image(tmp_path, capsys):
    arguments = ["views", "--gin", RECIPE, "--to", str(tmp_path / "v"), "--images"]
    assert main([*arguments, "0"]) == 2
    assert "--images is 0; give 1 or more" in capsys.readouterr().err


def test_views_names_a_file_that_cannot_be_written(tmp_path, capsys):
    (tmp_path / "file").touch()
    out = tmp_path / "file" / "views.png"
    arguments = ["views", "--gin", RECIPE, "--images", "1", "--to", str(out)]
    assert main(arguments) == 2
    assert f"{out} cannot be written: {tmp_path}/file is a" in capsys.readouterr().err


@pytest.mark.slow
def test_bench_input_names_the_bottleneck(capsys):
    small = "train.batch_size = 8"
    recipe = "gin/digits_supervised.gin"  # whose step is traced in a second
    arguments = ["--gin", recipe, "--set", small, "--seconds", "0.1"]
    assert run("bench", "input", *arguments) == 0
    lines = capsys.readouterr().out.splitlines()
    rates = [float(line.split()[2].replace(",", "")) for line in lines[:2]]
    assert lines[0].startswith("host makes")
    assert lines[1].startswith("model takes")
    slower = "host" if rates[0] < rates[1] else "model"
    assert f"bottleneck: {slower}" in lines


def test_bench_step_says_where_the_time_of_a_step_goes(capsys, monkeypatch):
    parts = {"views": 0.002, "forward": 0.01, "backward": 0.02, "update": 0.004}
    found = throughput.Shares(parts=parts, run=0.04, views=512)
    monkeypatch.setattr(throughput, "shares", lambda training, **options: found)
    assert run("bench", "step", "--gin", "gin/digits_supervised.gin") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split() for line in lines[:8]] == [
        ["views", "on", "the", "device", "2.00", "ms", "5.0%"],
        ["forward", "pass", "10.00", "ms", "25.0%"],
        ["backward", "pass", "20.00", "ms", "50.0%"],
        ["optimizer", "4.00", "ms", "10.0%"],
        ["waiting", "for", "the", "host", "4.00", "ms", "10.0%"],
        ["step", "of", "a", "run", "40.00", "ms", "100.0%"],
        ["a", "constant", "batch", "14,222", "views/s"],
        ["a", "run", "12,800", "views/s"],
    ]
