"""Weights & Biases, against a module that replaces its package."""

from __future__ import annotations

import sys
import types

import pytest
import tensorflow as tf

from sslkit.api import RunInfo, UserError
from sslkit.reporters.wandb import WandB
from sslkit.testing import laws_of

INFO = RunInfo("runs/mine", 0, 20, "", {"train.seed": 1}, {"keras": "3"})


class Shown:
    def __init__(self, options):
        self.options = options
        self.logged = []
        self.summary = {}
        self.finished = False

    def log(self, values, step=None):
        self.logged.append((step, values))

    def finish(self):
        self.finished = True


@pytest.fixture
def begun(monkeypatch):
    """The runs that were begun at the service."""
    runs = []

    def init(**options):
        runs.append(Shown(options))
        return runs[-1]

    fake = types.SimpleNamespace(init=init, Image=lambda pixels: pixels.shape)
    monkeypatch.setitem(sys.modules, "wandb", fake)
    return runs


def test_reports_numbers_pictures_and_accuracies(begun):
    reporter = WandB(project="p", entity="e")
    reporter.open(INFO)
    reporter.write(10, {"loss": 1.5}, time=1.0, machine={"device": "CPU"})
    png = tf.io.encode_png(tf.zeros([2, 3, 3], tf.uint8)).numpy()
    reporter.picture("views", png, step=0)
    reporter.close()
    row = {"protocol": "linear", "representation": "raw pixels", "top1": 0.5, "top5": 1}
    reporter.result(INFO, {"rows": [row]})
    first, second = begun
    assert first.options["project"] == "p" and first.options["entity"] == "e"
    assert first.options["name"] == "mine"
    assert first.options["config"] == {"train.seed": 1, "about": {"keras": "3"}}
    assert first.logged == [
        (10, {"loss": 1.5, "machine/device": "CPU"}),
        (None, {"views": (2, 3, 3)}),
    ]
    assert first.finished and second.finished
    assert second.summary["result/raw_pixels/linear/top1"] == 0.5


def test_a_resumed_run_has_the_same_id_there(begun):
    for start in (0, 10):
        WandB().open(INFO._replace(start=start))
    WandB().open(INFO._replace(workdir="runs/other"))
    first, second, other = (run.options for run in begun)
    assert first["id"] == second["id"] != other["id"]
    assert first["resume"] == "allow"


@pytest.mark.parametrize("law", laws_of(WandB, project="p"), ids=lambda law: law.name)
def test_law(law, begun):
    law()


def test_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(UserError, match=r"pip install 'sslkit\[wandb\]'"):
        WandB().check()
