"""train, evaluate and export, as a person at a terminal meets them."""

from __future__ import annotations

import json
import os
import pathlib
import signal
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

RECIPE = "gin/fnc_digits_pretrain.gin"
# The recipe as it is, but for its size.
SMALL = {
    "train.steps": "6",
    "train.batch_size": "16",
    "train.knn_every": "3",
    "train.checkpoint_every": "2",
    "train.log_every": "1",
    "backbones.convnet.filters": "(4, 8)",
    "objectives.fnc.projection_dim": "8",
    "evaluate.train_limit": "200",
    "evaluate.test_limit": "100",
}


def command(*arguments: str, settings: dict[str, str] | None = None) -> list[str]:
    overrides = [
        word
        for name, value in (settings or {}).items()
        for word in ("--set", f"{name} = {value}")
    ]
    return [sys.executable, "-m", "sslkit", *arguments, *overrides]


def sslkit(*arguments: str, settings: dict[str, str] | None = None):
    return subprocess.run(
        command(*arguments, settings=settings), capture_output=True, text=True
    )


def weights(workdir: pathlib.Path, step: int) -> dict[str, np.ndarray]:
    prefix = workdir / "checkpoints" / f"step_{step:08d}"
    reader = tf.train.load_checkpoint(str(prefix))
    return {
        name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()
    }


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run that went through without a break, and what it printed."""
    workdir = tmp_path_factory.mktemp("runs") / "finished"
    result = sslkit("train", "--gin", RECIPE, "--workdir", str(workdir), settings=SMALL)
    return workdir, result


def test_a_run_trains_evaluates_and_says_what_it_did(finished):
    workdir, result = finished
    assert result.returncode == 0, result.stderr
    # TensorFlow's own notes are not ours to show.
    assert result.stderr == ""
    for words in (
        "objective fnc",
        "step 6/6",
        "loss",
        "views/s",
        "kNN",
        "trained encoder",
        "untrained encoder",
        "raw pixels",
        "linear (logistic regression on frozen features)",
        f"next: sslkit export --workdir {workdir}",
    ):
        assert words in result.stdout
    lines = (workdir / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [1, 2, 3, 4, 5, 6]
    assert {"loss", "learning_rate", "false_negatives"} <= json.loads(lines[0]).keys()
    assert "knn_top1" in json.loads(lines[2])
    found = json.loads((workdir / "result.json").read_text())
    assert found["step"] == 6
    # kNN with 20 and with 200 neighbours and linear; trained, untrained, pixels.
    assert len(found["rows"]) == 9
    assert list((workdir / "tensorboard").glob("events.out.tfevents.*"))
    kept = sorted(path.name for path in (workdir / "checkpoints").glob("*.index"))
    assert kept == [f"step_{step:08d}.index" for step in (2, 4, 6)]


def test_a_finished_run_says_so_and_does_nothing(finished):
    workdir, _ = finished
    before = {path: path.stat().st_mtime_ns for path in workdir.glob("**/step_*")}
    result = sslkit("train", "--gin", RECIPE, "--workdir", str(workdir), settings=SMALL)
    assert result.returncode == 0
    assert "is finished: all 6 steps are done" in result.stdout
    assert "trained encoder" in result.stdout
    assert before == {p: p.stat().st_mtime_ns for p in workdir.glob("**/step_*")}


def test_an_interrupted_run_goes_on_to_the_same_bits(finished, tmp_path):
    arguments = command(
        "train", "--gin", RECIPE, "--workdir", str(tmp_path), settings=SMALL
    )
    process = subprocess.Popen(
        arguments,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    with process:
        for line in process.stdout:
            if line.startswith("step 1/6"):
                process.send_signal(signal.SIGINT)
        assert process.wait() == 130
    (interrupted,) = (tmp_path / "checkpoints").glob("step_*.index")
    step = int(interrupted.stem.removeprefix("step_"))
    assert step < 6
    result = subprocess.run(arguments, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert f"resuming at step {step}" in result.stdout
    wanted, found = weights(finished[0], 6), weights(tmp_path, 6)
    assert wanted.keys() == found.keys()
    for name, value in wanted.items():
        np.testing.assert_array_equal(found[name], value, err_msg=name)
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [1, 2, 3, 4, 5, 6]


def test_linear_evaluation_starts_from_the_run_and_exports_logits(finished, tmp_path):
    result = sslkit(
        *("train", "--gin", "gin/digits_linear.gin", "--workdir", str(tmp_path / "W")),
        settings={
            "train.initialize": repr(str(finished[0])),
            "train.steps": "3",
            "backbones.convnet.filters": "(4, 8)",
            "evaluate.linear": "False",
        },
    )
    assert result.returncode == 0, result.stderr
    assert "initialised" in result.stdout
    assert "classifier (the objective's own head)" in result.stdout
    wanted, found = weights(finished[0], 6), weights(tmp_path / "W", 3)
    for name, value in wanted.items():
        if name.startswith("encoder/"):
            np.testing.assert_array_equal(found[name], value, err_msg=name)

    folder = tmp_path / "encoder"
    result = sslkit("export", "--workdir", str(tmp_path / "W"), "--to", str(folder))
    assert result.returncode == 0, result.stderr
    # The printed lines load it, in a process that never imports sslkit.
    lines = result.stdout.split("\n\n")[1]
    check = f"{lines}\nassert features.shape == (1, 8), features.shape\n"
    check += "assert encoder(images)['logits'].shape == (1, 10)\n"
    check += "import sys; assert 'sslkit' not in sys.modules\n"
    subprocess.run([sys.executable, "-c", check], check=True, capture_output=True)


def test_evaluate_repeats_the_evaluation_of_the_run(finished):
    workdir, _ = finished
    before = json.loads((workdir / "result.json").read_text())
    result = sslkit("evaluate", "--workdir", str(workdir))
    assert result.returncode == 0, result.stderr
    assert "step 6 of" in result.stdout
    assert json.loads((workdir / "result.json").read_text()) == before
