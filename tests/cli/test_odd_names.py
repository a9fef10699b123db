"""A workdir may have any name; no name is read as a pattern."""

from __future__ import annotations

import pytest
import tensorflow as tf

import sslkit
from sslkit.cli.main import main

SMALL = {
    "train.steps": "4",
    "train.batch_size": "16",
    "train.checkpoint_every": "2",
    "backbones.convnet.filters": "(4, 8)",
    "evaluate.train_limit": "100",
    "evaluate.test_limit": "50",
    "evaluate.linear": "False",
    "evaluate.baselines": "False",
}


def train(workdir: str) -> int:
    settings = [w for n, v in SMALL.items() for w in ("--set", f"{n} = {v}")]
    recipe = ["--gin", "gin/digits_supervised.gin"]
    return main(["train", *recipe, "--workdir", workdir, "--mode", "train", *settings])


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    """The folder of a run that went through."""
    workdir = tmp_path_factory.mktemp("runs") / "lr[12] *größe?"
    assert train(str(workdir)) == 0
    return workdir


@pytest.mark.slow
def test_a_run_goes_on_is_evaluated_exported_and_loaded(workdir, tmp_path, capsys):
    for file in (workdir / "checkpoints").iterdir():
        if file.name.startswith("step_00000004"):
            file.unlink()
    assert train(str(workdir)) == 0
    assert "resuming at step 2" in capsys.readouterr().out
    assert main(["evaluate", "--workdir", str(workdir)]) == 0
    out = tmp_path / "out"
    assert main(["export", "--workdir", str(workdir), "--to", str(out)]) == 0
    images = tf.random.stateless_uniform([2, 12, 12, 3], [1, 2])
    live = sslkit.load_encoder(workdir)
    moved = out.rename(tmp_path / "out[1]")
    for encoder in (live, sslkit.load_encoder(moved)):
        assert encoder(images).shape == (2, 8)
    capsys.readouterr()
    arguments = ["export", "--workdir", str(workdir), "--to", str(moved)]
    assert main(arguments) == 2
    line = capsys.readouterr().err
    assert "out[1]: TensorFlow reads a path with *, ?, [ or \\ as a pattern" in line


def test_another_run_starts_from_it(workdir, tmp_path, capsys):
    arguments = ["train", "--gin", "gin/digits_linear.gin", "--mode", "train"]
    arguments += ["--workdir", str(tmp_path / "linear")]
    for setting in (
        f"train.initialize = {str(workdir)!r}",
        "train.steps = 1",
        "backbones.convnet.filters = (4, 8)",
    ):
        arguments += ["--set", setting]
    assert main(arguments) == 0
    assert f"from {workdir}/checkpoints/step_00000004" in capsys.readouterr().out
