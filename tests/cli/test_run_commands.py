"""The commands train, evaluate and export.

They run in this process unless a test needs a separate one: a new process has to start
TensorFlow and convert every function again, which takes 15 s of a core.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
from typing import NamedTuple

import numpy as np
import pytest
import tensorflow as tf

from sslkit.cli.main import main

RECIPE = "gin/fnc_digits_pretrain.gin"
# The recipe as it is, but for its size and for the operations on colours, which take
# 5 s to compile in each run; tests/views and the laws have them.
SMALL = {
    "augmentations.fnc.randaugment_layers": "0",
    "augmentations.fnc.strength": "0",
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


# A line by the C++ of TensorFlow and XLA, such as "I0000 00:00:17...", which no
# setting of Python's keeps from being written.
BELOW = re.compile(r"[IWEF]\d{4} |\d{4}-\d\d-\d\d |WARNING: All log messages before")


class Result(NamedTuple):
    returncode: int
    stdout: str
    stderr: str


def words(*arguments: str, settings: dict[str, str] | None = None) -> list[str]:
    overrides = [
        word
        for name, value in (settings or {}).items()
        for word in ("--set", f"{name} = {value}")
    ]
    return [*arguments, *overrides]


def sslkit(*arguments: str, settings: dict[str, str] | None = None) -> Result:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(words(*arguments, settings=settings))
    return Result(code, out.getvalue(), err.getvalue())


def weights(workdir: pathlib.Path, step: int) -> dict[str, np.ndarray]:
    prefix = workdir / "checkpoints" / f"step_{step:08d}"
    reader = tf.train.load_checkpoint(str(prefix))
    return {
        name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()
    }


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run that was trained without a stop, and its output."""
    workdir = tmp_path_factory.mktemp("runs") / "finished"
    result = sslkit("train", "--gin", RECIPE, "--workdir", str(workdir), settings=SMALL)
    return workdir, result


def test_a_run_trains_evaluates_and_says_what_it_did(finished):
    workdir, result = finished
    assert result.returncode == 0, result.stderr
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
        f"next: sslkit report {workdir}",
        f"next: sslkit audit {workdir}",
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


@pytest.mark.slow
def test_a_report_reads_the_encoder(finished, tmp_path):
    workdir, _ = finished
    target = tmp_path / "report.html"
    result = sslkit("report", str(workdir), "--to", str(target), "--images", "50")
    assert result.returncode == 0, result.stderr
    text = target.read_text()
    for words in ("50 of 360 images", "Confused classes", 'id="views"', "PCA of"):
        assert words in text
    assert json.loads((workdir / "facts.json").read_text())["devices"] == "CPU"


def test_a_finished_run_is_reported_and_not_trained_again(finished):
    workdir, _ = finished
    before = {path: path.stat().st_mtime_ns for path in workdir.glob("**/step_*")}
    result = sslkit("train", "--gin", RECIPE, "--workdir", str(workdir), settings=SMALL)
    assert result.returncode == 0
    assert "is finished: all 6 steps are done" in result.stdout
    assert "trained encoder" in result.stdout
    assert before == {p: p.stat().st_mtime_ns for p in workdir.glob("**/step_*")}


class Pressing(io.StringIO):
    """Is printed to, and presses Ctrl-C as the first step is reported."""

    def write(self, text):
        if text.startswith("step 1/6"):
            signal.raise_signal(signal.SIGINT)
        return super().write(text)


def interrupted_here(arguments, folder):
    """Interrupts a run in this process; returns its exit status and errors."""
    errors = io.StringIO()
    with contextlib.redirect_stdout(Pressing()), contextlib.redirect_stderr(errors):
        return main(arguments), errors.getvalue().splitlines()


def interrupted_process(arguments, folder):
    """Does the same in a separate process."""
    errors = folder / "stderr"
    with (
        errors.open("w") as stderr,
        subprocess.Popen(
            [sys.executable, "-m", "sslkit", *arguments],
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        ) as process,
    ):
        for line in process.stdout:
            if line.startswith("step 1/6"):
                process.send_signal(signal.SIGINT)
        code = process.wait()
    # TensorFlow's own notes are not ours to show.
    lines = errors.read_text().splitlines()
    return code, [line for line in lines if not BELOW.match(line)]


# What is measured on the way moves no weight.
UNMEASURED = SMALL | {
    "train.knn_every": "0",
    "evaluate.linear": "False",
    "evaluate.baselines": "False",
}


@pytest.mark.parametrize(
    "interrupt",
    [interrupted_here, pytest.param(interrupted_process, marks=pytest.mark.slow)],
)
def test_an_interrupted_run_goes_on_to_the_same_bits(finished, tmp_path, interrupt):
    arguments = ("train", "--gin", RECIPE, "--workdir", str(tmp_path))
    code, lines = interrupt(words(*arguments, settings=UNMEASURED), tmp_path)
    assert code == 75
    (*_, interrupted) = sorted((tmp_path / "checkpoints").glob("step_*.index"))
    step = int(interrupted.stem.removeprefix("step_"))
    assert lines == [
        f"sslkit: stopped by SIGINT at step {step}; the last checkpoint is "
        f"{interrupted.with_suffix('')}; the same command goes on from there"
    ]
    assert not list(tmp_path.glob("owner-*.json"))
    assert step < 6
    result = sslkit(*arguments, settings=UNMEASURED)
    assert result.returncode == 0, result.stderr
    assert f"resuming at step {step}" in result.stdout
    wanted, found = weights(finished[0], 6), weights(tmp_path, 6)
    assert wanted.keys() == found.keys()
    for name, value in wanted.items():
        np.testing.assert_array_equal(found[name], value, err_msg=name)
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [1, 2, 3, 4, 5, 6]


@pytest.mark.slow
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
    # The printed lines load it; that they need no sslkit is seen in tests/export.
    names = {}
    exec(result.stdout.split("\n\n")[1], names)
    assert names["features"].shape == (1, 8)
    assert names["encoder"](names["images"])["logits"].shape == (1, 10)


@pytest.mark.slow
def test_evaluate_repeats_the_evaluation_of_the_run(finished):
    workdir, _ = finished
    before = json.loads((workdir / "result.json").read_text())
    result = sslkit("evaluate", "--workdir", str(workdir))
    assert result.returncode == 0, result.stderr
    assert "step 6 of" in result.stdout
    assert json.loads((workdir / "result.json").read_text()) == before
