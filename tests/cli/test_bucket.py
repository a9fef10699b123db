"""Runs whose workdir is in a bucket, with `ram://` in place of `gs://`.

Like a bucket, TensorFlow's memory file system can be used only with `tf.io.gfile`.
"""

from __future__ import annotations

import json

import pytest
import tensorflow as tf

from sslkit.cli.main import main

RECIPE = "gin/digits_supervised.gin"
SMALL = {
    "train.steps": "4",
    "train.batch_size": "16",
    "train.checkpoint_every": "2",
    "train.log_every": "1",
    "backbones.convnet.filters": "(4, 8)",
    "evaluate.train_limit": "100",
    "evaluate.test_limit": "50",
    "evaluate.linear": "False",
    "evaluate.baselines": "False",
}
WORKDIR = "ram://bucket/runs/digits"


def train(workdir: str, recipe: str = RECIPE, **changed: str) -> int:
    settings = {**SMALL, **{f"train.{name}": value for name, value in changed.items()}}
    words = [
        word
        for name, value in settings.items()
        for word in ("--set", f"{name} = {value}")
    ]
    return main(["train", "--gin", recipe, "--workdir", workdir, *words])


def read(name: str) -> str:
    with tf.io.gfile.GFile(f"{WORKDIR}/{name}") as file:
        return file.read()


@pytest.fixture(scope="module")
def finished():
    """A run in the bucket, cut off after its first checkpoint and resumed."""
    assert train(WORKDIR) == 0
    for name in tf.io.gfile.glob(f"{WORKDIR}/checkpoints/step_00000004.*"):
        tf.io.gfile.remove(name)
    tf.io.gfile.remove(f"{WORKDIR}/result.json")
    assert train(WORKDIR) == 0


def test_a_run_in_a_bucket_writes_all_files_of_a_run(finished):
    names = set(tf.io.gfile.listdir(WORKDIR))
    assert names == {
        "checkpoints",
        "config.gin",
        "data.json",
        "facts.json",
        "metrics.jsonl",
        "result.json",
        "result_4.json",
        "tensorboard",
    }
    steps = [json.loads(line)["step"] for line in read("metrics.jsonl").splitlines()]
    assert steps == [1, 2, 3, 4]
    assert json.loads(read("result.json"))["step"] == 4
    checkpoints = tf.io.gfile.glob(f"{WORKDIR}/checkpoints/*.index")
    assert sorted(path.rpartition("/")[2] for path in checkpoints) == [
        "step_00000002.index",
        "step_00000004.index",
    ]


def test_a_run_in_a_bucket_is_read_by_tensorboard(finished):
    events = [
        tf.compat.v1.Event.FromString(record.numpy())
        for path in sorted(tf.io.gfile.glob(f"{WORKDIR}/tensorboard/*"))
        for record in tf.data.TFRecordDataset(path)
    ]
    told = [
        event.step
        for event in events
        if "loss" in {value.tag for value in event.summary.value}
    ]
    assert told == [1, 2, 3, 4, 3, 4]


@pytest.mark.slow
def test_a_run_in_a_bucket_is_evaluated_and_exported(finished, tmp_path, capsys):
    tf.io.gfile.remove(f"{WORKDIR}/result.json")
    assert main(["evaluate", "--workdir", WORKDIR]) == 0
    assert f"step 4 of {WORKDIR}" in capsys.readouterr().out
    assert json.loads(read("result.json"))["step"] == 4
    assert main(["export", "--workdir", WORKDIR, "--to", str(tmp_path / "out")]) == 0
    assert "train.steps = 4" in (tmp_path / "out" / "README.md").read_text()


@pytest.mark.parametrize("name", ["encoder", "encoder.npz"])
def test_outputs_of_a_run_in_a_bucket_go_to_a_disk(finished, capsys, name):
    command = "embed" if name.endswith("npz") else "export"
    assert main([command, "--workdir", WORKDIR, "--to", f"gs://mine/{name}"]) == 2
    line = capsys.readouterr().err
    assert f"gs://mine/{name} is not on a disk. Write to one, and copy it" in line


@pytest.mark.slow
def test_another_run_starts_from_a_run_in_a_bucket(finished, capsys):
    recipe, start = "gin/digits_linear.gin", f"'{WORKDIR}'"
    assert train("ram://bucket/runs/linear", recipe, initialize=start, steps="1") == 0
    assert f"from {WORKDIR}/checkpoints/step_00000004" in capsys.readouterr().out


def test_a_workdir_in_a_bucket_belongs_to_one_recipe(finished, capsys):
    assert train(WORKDIR, seed="7") == 2
    assert f"{WORKDIR} belongs to another run" in capsys.readouterr().err


CREDENTIALS = "gcloud auth application-default login"


@pytest.fixture
def locked(monkeypatch):
    """A bucket that answers as Google Cloud does without credentials."""

    def refuse(path, *rest, **options):
        raise tf.errors.UnauthenticatedError(
            None, None, f"Error executing an HTTP request: HTTP 401\nreading {path}"
        )

    def in_buckets(reach):
        def reached(path, *rest):
            bucket = str(path).startswith("gs://")
            return refuse(path, *rest) if bucket else reach(path, *rest)

        return reached

    for name in ("exists", "isdir", "glob", "listdir", "makedirs"):
        monkeypatch.setattr(tf.io.gfile, name, in_buckets(getattr(tf.io.gfile, name)))


@pytest.mark.parametrize(
    ("workdir", "changed", "what"),
    [
        ("gs://mine/run", {}, "the workdir gs://mine/run"),
        ("W", {"initialize": "'gs://mine/other'"}, "the checkpoint gs://mine/other"),
    ],
)
def test_a_bucket_without_credentials_is_a_one_line_error(
    locked, capsys, workdir, changed, what
):
    assert train(workdir, **changed) == 2
    line = capsys.readouterr().err
    assert line.count("\n") == 1
    assert f"{what} cannot be read: Error executing an HTTP request: HTTP 401." in line
    assert CREDENTIALS in line


@pytest.mark.slow
def test_data_without_credentials_is_a_one_line_error(locked, capsys):
    arguments = ["--workdir", "W", "--data-dir", "gs://mine/data"]
    recipe = ["--gin", "gin/simclr_cifar10_pretrain.gin"]
    assert main(["train", *recipe, *arguments]) == 2
    line = capsys.readouterr().err
    assert line.count("\n") == 1
    assert "the data gs://mine/data cannot be read" in line
    assert CREDENTIALS in line


def test_a_recipe_without_credentials_is_a_one_line_error(monkeypatch, capsys):
    def refuse(self, *rest):
        raise tf.errors.PermissionDeniedError(None, None, "HTTP 403")

    monkeypatch.setattr(tf.io.gfile.GFile, "read", refuse)
    assert main(["config", "--gin", "gs://mine/run/config.gin"]) == 2
    line = capsys.readouterr().err
    assert "the recipe gs://mine/run/config.gin cannot be read: HTTP 403." in line
    assert CREDENTIALS in line
