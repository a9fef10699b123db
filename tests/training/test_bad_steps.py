"""Whole runs with a step that is not finite."""

from __future__ import annotations

import functools
import json
import shutil

import numpy as np
import pytest
import tensorflow as tf

from sslkit import randomness
from sslkit.api import Outcome, UserError
from sslkit.data import data
from sslkit.data.batches import training_indices
from sslkit.optimize.lars import LARS
from sslkit.optimize.schedules import WarmupCosine
from sslkit.runners.single import Single
from sslkit.testing import TinyBackbone, ToyMoCo
from sslkit.training.replay import replay
from sslkit.training.run import Training
from sslkit.views import CropFlip
from sslkit.workdir import Workdir

STEPS, BAD = 6, 5


class Poisoned(ToyMoCo):
    """The fifth step has a gradient that is not finite."""

    def call(self, batch, *, step):
        found = super().call(batch, step=step)
        kernel = self.projection.variables[0]
        zero = 0.0 * tf.reduce_sum(kernel)
        bad = tf.where(step == BAD - 1, tf.sqrt(zero), 0.0)
        # The derivative of the root at zero times zero is NaN, in all other steps, too.
        switched = tf.cond(step == BAD - 1, lambda: bad, lambda: 0.0)
        return Outcome(found.loss + switched, {"bank": tf.reduce_sum(self.bank.rows)})


def training(objective=Poisoned, **options):
    return Training(
        **{
            "objective": functools.partial(objective, TinyBackbone),
            "augmentation": CropFlip(size=8, count=2),
            "data": data(name="digits"),
            "optimizer": LARS(weight_decay=1e-4),
            "schedule": WarmupCosine(base=0.3, warmup_epochs=0.02),
            "runner": Single(device="CPU:0"),
            "batch_size": 16,
            "steps": STEPS,
            "checkpoint_every": 2,
            "log_every": 2,
            "keep": 10,
            "on_nonfinite": "skip",
            "reporters": (),
            **options,
        }
    )


def run(made, folder):
    said = []
    made.run(Workdir(str(folder)), say=said.append)
    return {name: v.numpy() for name, v in made.state.table.items()}, said


def lines(folder):
    text = (folder / "metrics.jsonl").read_text().splitlines()
    dropped = ("time", "machine")
    return [
        {name: value for name, value in json.loads(line).items() if name not in dropped}
        for line in text
    ]


@pytest.fixture(scope="module")
def skipped(tmp_path_factory):
    folder = tmp_path_factory.mktemp("skipped")
    table, said = run(training(), folder)
    return folder, table, said


def test_a_step_is_skipped_and_said(skipped):
    folder, table, said = skipped
    (line,) = [line for line in said if "left out" in line]
    assert line.startswith(
        "the gradient norm is nan at step 5, first in the gradient of projection/"
    )
    assert f"sslkit replay --workdir {folder} --step 5" in line
    assert [line.get("refused_steps") for line in lines(folder)] == [None, None, 1.0]
    assert all(np.isfinite(value).all() for value in table.values())
    assert table["step"] == STEPS


def test_the_examples_and_seeds_of_a_bad_step_are_kept(skipped):
    folder, _, _ = skipped
    known = json.loads((folder / "bad_step_5.json").read_text())
    source = data(name="digits").source("train")
    assert known["step"] == BAD
    assert known["examples"] == training_indices(source, 4, 5, seed=0, batch_size=16)
    assert known["step_seed"] == randomness.step_seed(0, 4).numpy().tolist()
    first = randomness.example_seed(
        0, tf.constant(0, tf.int64), tf.constant(known["examples"][0], tf.int64)
    )
    assert known["example_seeds"][0] == first.numpy().tolist()
    assert (known["part"], known["on_nonfinite"]) == ("gradient", "skip")
    assert known["metrics"]["gradient_norm"] == "nan"
    assert known["metrics"]["loss"] == pytest.approx(known["metrics"]["loss"])


@pytest.mark.slow
def test_a_run_that_was_stopped_skips_to_the_same_bits(skipped, tmp_path):
    folder, wanted, _ = skipped
    half = shutil.copytree(folder, tmp_path / "half")
    for file in (half / "checkpoints").glob(f"step_{STEPS:08d}.*"):
        file.unlink()
    table, _ = run(training(), half)
    for name, value in wanted.items():
        np.testing.assert_array_equal(table[name], value, err_msg=name)
    assert lines(half) == lines(folder)


def test_a_run_that_rewinds_comes_to_the_same_on_a_cpu(skipped, tmp_path):
    folder, wanted, _ = skipped
    table, said = run(training(on_nonfinite="rewind", inner_steps=10), tmp_path)
    assert [line for line in said if "Going back to step 4; step 5 is left out" in line]
    assert [line for line in said if line.startswith("resuming at step 4 from")]
    for name, value in wanted.items():
        np.testing.assert_array_equal(table[name], value, err_msg=name)
    assert lines(tmp_path) == lines(folder)


def test_a_step_is_done_again_and_looked_at(skipped):
    folder, _, _ = skipped
    said = []
    known = json.loads((folder / "bad_step_5.json").read_text())
    found = replay(training(), Workdir(str(folder)), BAD, say=said.append)
    # The loss is that of the run, apart from the order of sums.
    loss = float(found[-1].split()[1].rstrip(","))
    assert loss == pytest.approx(known["metrics"]["loss"], rel=1e-5)
    assert said == [f"from {folder}/checkpoints/step_00000004, 0 steps before step 5"]
    assert found[0] == "the result of every layer is finite"
    assert found[1].startswith(
        "the first of loss, gradients and update that is not finite: the gradient of "
        "projection/"
    )
    good = replay(training(), Workdir(str(folder)), 4, say=said.append)
    assert good[0].startswith("step 4 is finite here: loss ")
    assert said[-1].endswith("step_00000002, 1 steps before step 4")
    with pytest.raises(UserError, match="has 6 steps, and no step 7; name one f"):
        replay(training(), Workdir(str(folder)), 7)


def test_the_layer_is_named(tmp_path):
    made = training()
    kernel = made.state.table["projection/layer_0/dense/kernel"]
    kernel.assign(np.full_like(kernel.numpy(), np.inf))
    found = replay(made, Workdir(str(tmp_path)), 1, say=lambda line: None)
    assert found[0].startswith(
        "before the step, projection/layer_0/dense/kernel is not"
    )
    assert "projection/layer_0/dense (" in found[1]
    assert "its own " in found[1]
