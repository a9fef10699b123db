"""Mistakes of users: each is a one-line error with code 2 and overwrites nothing."""

from __future__ import annotations

import pathlib

import pytest
import tensorflow as tf
from runners.test_two_processes import free_addresses

from sslkit import config
from sslkit.checkpoints import write
from sslkit.cli.main import main

RECIPE = "gin/fnc_digits_pretrain.gin"


@pytest.fixture
def refused(tmp_path, capsys):
    """Runs `sslkit train` and returns the one line of its refusal."""

    def run(*settings: str, recipe: str = RECIPE, workdir: pathlib.Path | None = None):
        arguments = ["train", "--gin", recipe, "--workdir", str(workdir or tmp_path)]
        for setting in settings:
            arguments += ["--set", setting]
        before = sorted(tmp_path.rglob("*"))
        capsys.readouterr()
        assert main(arguments) == 2
        line = capsys.readouterr().err
        assert line.startswith("sslkit: error: ")
        assert line.count("\n") == 1
        assert sorted(tmp_path.rglob("*")) == before
        return line

    return run


def test_a_typo_in_a_binding(refused):
    line = refused("train.epoch = 5")
    assert "train has no parameter 'epoch'" in line
    assert "Did you mean 'epochs'?" in line


def test_an_unknown_plugin(refused):
    line = refused("train.objective = @objectives.fcn")
    assert "no objective is called 'fcn'. Did you mean 'fnc'?" in line


def test_a_missing_recipe(refused):
    line = refused(recipe="gin/fnc_digit_pretrain.gin")
    assert "Did you mean 'gin/fnc_digits_pretrain.gin'?" in line


@pytest.mark.parametrize("content", [None, "a note, not a photograph"])
def test_a_folder_without_images(refused, tmp_path, content):
    folder = tmp_path / "photographs"
    folder.mkdir()
    if content is not None:
        (folder / "note.jpg").write_text(content)
    line = refused(f"data.name = 'folder:{folder}'")
    assert f"{folder} has no JPEG, PNG, GIF, WebP or BMP image" in line


def test_a_folder_without_a_path(refused):
    assert "data.name is 'folder:' without a path" in refused("data.name = 'folder:'")


def test_a_folder_that_does_not_exist(refused, tmp_path):
    assert "does not exist" in refused(f"data.name = 'folder:{tmp_path}/none'")


def test_a_dataset_that_is_not_prepared(refused, tmp_path):
    place = f"data.data_dir = '{tmp_path}'"
    line = refused("data.name = 'cifar10'", place)
    assert f"cifar10 is not prepared: no {tmp_path}/cifar10/" in line
    assert "tfds.load('cifar10'" in line
    line = refused("data.name = 'imagenet2012'", place)
    assert "ILSVRC2012_img_train.tar" in line
    assert f"{tmp_path}/downloads/manual" in line


def test_a_batch_that_cannot_be_divided_among_the_replicas(refused):
    line = refused(
        "train.runner = @runners.mirrored()",
        "runners.mirrored.replicas = 2",
        "train.batch_size = 15",
    )
    assert (
        "batch_size 15 cannot be divided equally among 2 replicas; use 14 or 16" in line
    )


def test_a_bank_that_is_smaller_than_one_step(refused):
    line = refused("objectives.fnc.bank = 3")
    assert "bank is 3 global batches; each step writes 4 views of every image" in line
    assert "0 or at least 4" in line


def test_a_runner_that_is_not_available_here(refused):
    line = refused("train.runner = @runners.mirrored()")
    assert "there is no GPU here" in line
    assert "@runners.single()" in line
    assert "GPU:7" in refused("runners.single.device = 'GPU:7'")


def test_a_start_checkpoint_that_does_not_exist(refused, tmp_path):
    line = refused(f"train.initialize = '{tmp_path}/none'")
    assert f"there is no checkpoint at {tmp_path}/none" in line


@pytest.mark.parametrize("stage", ["linear", "finetune"])
def test_a_stage_without_a_start_checkpoint(refused, stage):
    line = refused(recipe=f"gin/digits_{stage}.gin")
    assert "leaves train.initialize to you. Add --set 'train.initialize" in line


def test_a_start_checkpoint_of_another_model(refused, tmp_path):
    other = tmp_path / "other"
    write({"encoder/kernel": tf.Variable([1.0]), "step": tf.Variable(3)}, str(other))
    line = refused(f"train.initialize = '{other}'")
    assert f"{other} lacks" in line
    assert "checkpoint of another model" in line


def test_a_workdir_of_another_recipe(refused, tmp_path):
    other = config.read([RECIPE], ["train.batch_size = 7"]).render()
    (tmp_path / "config.gin").write_text(other)
    line = refused()
    assert (
        f"{tmp_path} belongs to another run (train.batch_size: 7 there, 64 here)"
        in line
    )
    assert "Choose another --workdir" in line
    assert (tmp_path / "config.gin").read_text() == other


def test_views_that_the_objective_does_not_take(refused):
    line = refused("augmentations.fnc.support = 3")
    assert "objective fnc wants instance x 2, support x 2" in line
    assert "the augmentation makes instance x 2, support x 3" in line


def test_a_workdir_that_cannot_be_written(refused, tmp_path):
    (tmp_path / "file").write_text("in the way")
    line = refused(workdir=tmp_path / "file")
    assert f"the workdir {tmp_path}/file cannot be written" in line


@pytest.mark.parametrize("command", ["evaluate", "export"])
def test_a_folder_that_is_not_a_workdir(command, tmp_path, capsys):
    arguments = [command, "--workdir", str(tmp_path)]
    arguments += ["--to", str(tmp_path / "out")] if command == "export" else []
    assert main(arguments) == 2
    line = capsys.readouterr().err
    assert f"{tmp_path} is not a workdir of a run: it has no config.gin" in line
    assert line.count("\n") == 1


@pytest.fixture
def photographs(tmp_path):
    """A folder of images without labels."""
    folder = tmp_path / "photographs"
    folder.mkdir()
    picture = tf.io.encode_jpeg(tf.zeros([16, 16, 3], tf.uint8)).numpy()
    for number in range(4):
        (folder / f"{number}.jpg").write_bytes(picture)
    return folder


def test_a_supervised_stage_without_labels(refused, photographs):
    line = refused(
        f"data.name = 'folder:{photographs}'", recipe="gin/digits_supervised.gin"
    )
    assert f"objective supervised reads labels and folder:{photographs}" in line
    assert "has none" in line


@pytest.mark.parametrize(
    ("bank", "said"),
    [
        ("test", "evaluate.bank is 'test', which is the split that is scored"),
        pytest.param(
            *("labelled", "digits has no split 'labelled'"), marks=pytest.mark.slow
        ),
    ],
)
def test_a_bank_that_cannot_be_used(refused, bank, said):
    """Known before the run, of which the evaluation is the end."""
    assert said in refused(f"evaluate.bank = '{bank}'")


def test_more_classes_than_the_classifier_has(refused):
    line = refused("classes = 5", recipe="gin/digits_supervised.gin")
    assert "digits/train has 10 classes and objective supervised 5" in line
    assert "Set objectives.supervised.classes = 10" in line


def test_a_tpu_that_does_not_answer(refused):
    (dead,) = free_addresses(1)
    line = refused(
        "train.runner = @runners.tpu()",
        f"runners.tpu.name = 'grpc://{dead}'",
        "runners.tpu.connect_seconds = 0.5",
    )
    assert f"runner tpu: nothing answers at {dead} within 0.5 s" in line
    assert "Is the TPU running" in line


def test_one_of_two_workers_missing(refused):
    here, missing = free_addresses(2)
    line = refused(
        "train.runner = @runners.multiworker()",
        f"runners.multiworker.workers = ['{here}', '{missing}']",
        "runners.multiworker.index = 0",
        "runners.multiworker.wait_seconds = 0.5",
    )
    assert f"runner multiworker: {missing} did not answer within 0.5 s" in line
    assert "Start the same command on every machine" in line


def test_a_workdir_without_a_name(monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    for command in (["train", "--gin", RECIPE], ["evaluate"]):
        assert main([*command, "--workdir", ""]) == 2
        assert "because a shell variable is not set" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_only_evaluated_is_not_made(tmp_path, capsys):
    folder = tmp_path / "typo"
    command = ["train", "--gin", RECIPE, "--workdir", str(folder)]
    assert main([*command, "--mode", "evaluate"]) == 2
    assert "is not a workdir of a run" in capsys.readouterr().err
    assert not folder.exists()


@pytest.mark.parametrize(
    ("patterns", "said"),
    [("('(',)", "'(' is not a regular expression"), ("()", "train.restore is empty")],
)
def test_nothing_to_restore(refused, tmp_path, patterns, said):
    start = tmp_path / "start" / "checkpoints"
    start.mkdir(parents=True)
    write({"step": tf.Variable(0)}, str(start / "step_00000000"))
    line = refused(
        f"train.initialize = '{start.parent}'",
        f"train.restore = {patterns}",
        workdir=tmp_path / "run",
        recipe="gin/digits_linear.gin",
    )
    assert said in line
