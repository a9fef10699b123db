"""A resumed run has the same data and length, or the user says otherwise."""

from __future__ import annotations

import json
import shutil

import pytest
import tensorflow as tf

from sslkit.checkpoints import Checkpoints
from sslkit.cli.main import main
from sslkit.data import data
from sslkit.errors import UserError
from sslkit.training.continuing import changed_since, check_continuing, remember
from sslkit.workdir import Workdir


def write(folder, names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = tf.fill([8, 8, 3], tf.constant(len(name), tf.uint8))
        path.write_bytes(tf.io.encode_png(pixels).numpy())


@pytest.fixture
def photos(tmp_path):
    """Four images of two classes."""
    write(tmp_path / "photos", [f"train/{c}/{n}.png" for c in "ab" for n in "12"])
    return tmp_path / "photos"


@pytest.fixture
def workdir(tmp_path, photos, table):
    """The folder of a run of 10 steps on them, with a checkpoint."""
    found = Workdir(str(tmp_path / "W"))
    remember(found, data(name=f"folder:{photos}"), 10)
    Checkpoints(found.checkpoints).save(table(weight=1.0), step=10)
    return found


def source(photos, **options):
    return data(name=f"folder:{photos}", **options).source("train")


def check(workdir, opened, steps=10, *, extend=False):
    said = []
    check_continuing(workdir, opened, steps, extend=extend, say=said.append)
    return said


def test_the_same_data_goes_on(workdir, photos):
    assert check(workdir, source(photos)) == []
    assert check(workdir, source(photos), extend=True) == []


def test_data_that_was_moved_or_touched_is_the_same(workdir, photos, tmp_path):
    for path in photos.rglob("*.png"):
        path.write_bytes(path.read_bytes())
    photos.rename(tmp_path / "elsewhere")
    assert check(workdir, source(tmp_path / "elsewhere")) == []


CHANGES = {
    "added": (lambda photos: write(photos, ["train/a/3.png"]), "size 4 then, 5 now"),
    "renamed": (
        lambda photos: (photos / "train/a/1.png").rename(photos / "train/a/0.png"),
        "its files have changed",
    ),
    "another class": (
        lambda photos: write(photos, ["train/c/1.png"]),
        "classes 2 then, 3 now",
    ),
    "changed": (
        lambda photos: (
            write(photos, ["x"]) or (photos / "train/a/1.png").write_bytes(b"GIF89a")
        ),
        "its files have changed",
    ),
}


@pytest.mark.parametrize("kind", CHANGES)
def test_data_that_changed_is_refused_with_ways_on(workdir, photos, kind):
    change, wanted = CHANGES[kind]
    change(photos)
    with pytest.raises(UserError) as error:
        check(workdir, source(photos))
    message = str(error.value)
    assert f"folder:{photos}/train has changed" in message
    assert wanted in message
    assert "Choose another --workdir" in message
    assert f'train.initialize = "{workdir.path}"\'' in message
    assert "--extend" in message
    (line,) = check(workdir, source(photos), extend=True)
    assert line.startswith("going on with other data: ")


def test_longer_is_refused_unless_it_is_meant(workdir, photos):
    with pytest.raises(UserError, match=r"10 steps, and now .* of 14\. Choose .*-ext"):
        check(workdir, source(photos), 14)
    (line,) = check(workdir, source(photos), 14, extend=True)
    assert line.startswith("extended from 10 to 14 steps; from here on the learning")


def test_shorter_is_refused(workdir, photos):
    with pytest.raises(UserError, match="made longer, not shorter"):
        check(workdir, source(photos), 9, extend=True)


def test_nothing_is_refused_before_the_first_checkpoint(workdir, photos):
    write(photos, ["train/a/3.png"])
    shutil.rmtree(workdir.checkpoints)
    assert check(workdir, source(photos), 14) == []


def test_other_records_of_the_same_dataset(shared_data, tmp_path):
    def records(split):
        options = {"data_dir": str(shared_data), "cache_dir": str(tmp_path)}
        return data(name="cifar10_subset", train=split, **options).source("train")

    one, other = records("train[:50]").record(), records("train[50:100]").record()
    assert one["version"] == other["version"] == "cifar10_subset/1.0.0"
    assert one["size"] == other["size"]
    assert one["records"] != other["records"]
    assert json.loads(json.dumps(one)) == one


RECIPE = """
train.objective = @objectives.supervised
objectives.supervised.backbone = @backbones.convnet
objectives.supervised.classes = 2
backbones.convnet.filters = (4,)
train.augmentation = @augmentations.crop_flip()
augmentations.crop_flip.size = 8
train.data = @data()
train.optimizer = @optimizers.momentum()
train.schedule = @schedules.constant()
schedules.constant.base = 0.01
train.runner = @runners.single()
train.batch_size = 2
"""


@pytest.mark.parametrize(
    "extended", [False, pytest.param(True, marks=pytest.mark.slow)]
)
def test_a_finished_run_is_not_extended_by_accident(photos, tmp_path, capsys, extended):
    recipe = tmp_path / "recipe.gin"
    recipe.write_text(RECIPE)

    def train(epochs, *options):
        code = main(
            [
                *("train", "--gin", str(recipe), "--workdir", str(tmp_path / "run")),
                *("--mode", "train", "--set", f"data.name = 'folder:{photos}'"),
                *("--set", f"train.epochs = {epochs}", *options),
            ]
        )
        said = capsys.readouterr()
        return code, said.out + said.err

    code, said = train(1)
    assert code == 0
    assert f"data folder:{photos}: 2 classes (a, b), 4 training images in train" in said
    code, said = train(1)
    assert (code, "is finished: all 3 steps are done" in said) == (0, True)
    code, said = train(2)
    assert code == 2
    assert "a run of another length (train.epochs: 1 there, 2 here). Add" in said
    write(photos, [f"train/a/{n}.png" for n in "345678"])
    code, said = train(1)
    assert code == 2
    assert "size 4 then, 10 now (3 steps then, 6 now)" in said
    assert "train.epochs = 1\n" in (tmp_path / "run" / "config.gin").read_text()
    if not extended:
        return
    code, said = train(2, "--extend")
    assert code == 0
    assert "extended from 3 to 11 steps" in said
    assert "resuming at step 3" in said


@pytest.fixture
def both(tmp_path, photos, table):
    """The folder of a run that has opened its test split, and its dataset."""
    write(photos, ["test/a/1.png", "test/b/1.png"])
    dataset = data(name=f"folder:{photos}")
    dataset.source("test")
    found = Workdir(str(tmp_path / "W"))
    remember(found, dataset, 10)
    Checkpoints(found.checkpoints).save(table(weight=1.0), step=10)
    return found, dataset


def changed(workdir, photos, **options):
    dataset = data(name=f"folder:{photos}", **options)
    return changed_since(workdir, dataset, ["train", "test"])


def test_evaluation_says_which_split_has_changed(both, photos, tmp_path):
    workdir, _ = both
    assert changed(workdir, photos) == []
    write(photos, ["test/a/2.png"])
    (line,) = changed(workdir, photos)
    assert line.startswith(
        f"folder:{photos}/test has changed since the run was trained: "
    )
    assert "size 2 then, 3 now" in line
    write(photos, ["train/a/3.png"])
    assert len(changed(workdir, photos)) == 2
    photos.rename(tmp_path / "moved")
    first, _ = changed(workdir, tmp_path / "moved")
    assert f"is not the data that the run was trained with, folder:{photos}/tr" in first
    assert changed(workdir, tmp_path / "moved", test="no-such-split") == [first]


def test_what_is_known_of_the_test_split_stays(both, photos):
    workdir, _ = both
    write(photos, ["test/a/2.png"])
    closed = data(name=f"folder:{photos}")
    remember(workdir, closed, 10)
    assert workdir.data()["test"]["size"] == 2
    closed.source("test")
    remember(workdir, closed, 10)
    assert workdir.data()["test"]["size"] == 2
    assert changed(workdir, photos) != []
    remember(workdir, closed, 10, extend=True)
    assert changed(workdir, photos) == []


def test_unknown_or_damaged_records_are_not_a_change(workdir, photos, tmp_path):
    write(photos, ["test/a/1.png"])
    assert changed(workdir, photos) == []  # it had no test split
    assert changed(Workdir(str(tmp_path / "empty")), photos) == []
    (tmp_path / "W" / "data.json").write_text("{")
    (line,) = changed(workdir, photos)
    assert line.startswith("whether the data has changed is not known: ")
    assert "data.json is damaged" in line
