"""`sslkit.train`: the command as a function."""

from __future__ import annotations

import json
import threading

import gin
import pytest
import tensorflow as tf

import sslkit
from sslkit.errors import UserError

SIMCLR = "gin/simclr_digits_pretrain.gin"
SUPERVISED = "gin/digits_supervised.gin"
SMALL = [
    "train.steps = 2",
    "train.batch_size = 8",
    "train.log_every = 1",
    "backbones.convnet.filters = (4,)",
    "evaluate.baselines = False",
    "evaluate.linear = False",
    "evaluate.train_limit = 50",
    "evaluate.test_limit = 20",
]
PRETRAINING = [
    *SMALL,
    "train.knn_every = 0",
    # Quick to compile.
    "augmentations.fnc.strength = 0",
    "augmentations.fnc.randaugment_layers = 0",
]


@pytest.fixture(autouse=True)
def checkout(repository, monkeypatch):
    monkeypatch.chdir(repository)


def tags(workdir):
    """What TensorBoard has of a run."""
    return {
        value.tag
        for path in (workdir / "tensorboard").iterdir()
        for record in tf.data.TFRecordDataset(str(path))
        for value in tf.compat.v1.Event.FromString(record.numpy()).summary.value
    }


def test_two_recipes_in_one_process_beside_the_users_own_gin(tmp_path, capsys):
    @gin.configurable("thing", module="tests")
    def thing(size=1):
        return size

    gin.bind_parameter("thing.size", 7)
    first, second = tmp_path / "first", tmp_path / "second"
    run = sslkit.train(gin=[SIMCLR], set=PRETRAINING, workdir=first)
    assert (run.step, run.steps, run.finished, run.trained) == (2, 2, True, True)
    assert run.workdir == str(first)
    assert run.result == json.loads((first / "result.json").read_text())
    assert [row["protocol"] for row in run.result["rows"]] == ["kNN (k=20, T=0.07)"]
    assert "objective simclr: " in capsys.readouterr().out
    assert tags(first) >= {
        "about",
        "configuration",
        "_hparams_/session_start_info",
        "_hparams_/session_end_info",
        "machine/host_memory_bytes",
        "result/trained_encoder/kNN_k_20_T_0.07/top1",
        "loss",
    }

    other = sslkit.train(gin=SUPERVISED, set=SMALL, workdir=str(second))
    assert other.finished
    assert "classifier (the objective's own head)" in [
        row["protocol"] for row in other.result["rows"]
    ]
    # The first is as it was, and finished.
    again = sslkit.train(gin=[SIMCLR], set=PRETRAINING, workdir=first)
    assert (again.trained, again.measured) == (False, None)
    assert again.result == run.result

    assert thing() == 7
    assert not gin.config_is_locked()
    gin.clear_config()


@pytest.mark.slow
def test_trains_in_a_thread_and_goes_on(tmp_path):
    found = []

    def work():
        setting = [*PRETRAINING, "train.checkpoint_every = 1"]
        found.append(
            sslkit.train(gin=SIMCLR, set=setting, workdir=tmp_path, mode="train")
        )

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    (run,) = found
    assert run.finished
    assert run.result is None
    setting = [*PRETRAINING, "train.checkpoint_every = 1"]
    measured = sslkit.train(gin=SIMCLR, set=setting, workdir=tmp_path, mode="evaluate")
    assert not measured.trained
    assert measured.result["step"] == 2


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"gin": "gin/none.gin"}, "no recipe 'gin/none.gin'"),
        ({"set": "train.steps = 0"}, "train.steps is 0 .* it must be a whole number"),
        ({"mode": "test"}, "mode is 'test'; it must be one of"),
        ({"stage": "linear"}, "has no stages; leave out stage"),
        ({"gin": "gin/fnc_digits_full.gin"}, "stage = one of: pretrain, linear"),
        (
            {"gin": "gin/fnc_digits_full.gin", "stage": "liner"},
            "there is no stage 'liner'. Did you mean 'linear'",
        ),
    ],
)
def test_refuses_in_one_line(given, message, tmp_path):
    workdir = tmp_path / "run"
    with pytest.raises(UserError, match=message):
        sslkit.train(**{"gin": SIMCLR, "workdir": workdir, **given})
    assert not workdir.exists()
