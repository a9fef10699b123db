"""An audit of runs with a small objective, and the files it writes."""

from __future__ import annotations

import json
import os
import pathlib
import types

import numpy as np
import pytest
import tensorflow as tf

from sslkit.api import Augmentation, Backbone, Detected, Objective, ViewGroup
from sslkit.auditing import Settings, audit
from sslkit.auditing.summary import summary
from sslkit.checkpoints import Damaged
from sslkit.cli.main import main
from sslkit.data.arrays import Arrays
from sslkit.errors import UserError
from sslkit.runs import Run
from sslkit.workdir import Workdir

SIZE, COUNT, BATCH = 8, 40, 10


class Same(Augmentation):
    """Two views: the image, and with some noise."""

    @property
    def groups(self):
        return {"instance": ViewGroup(2, SIZE)}

    def example(self, image, seed):
        noise = tf.random.stateless_uniform([SIZE, SIZE, 3], seed, 0, 40, tf.int32)
        noisy = tf.minimum(tf.cast(image, tf.int32) + noise, 255)
        return {"instance": tf.stack([image, tf.cast(noisy, tf.uint8)])}


class Pixels(Backbone):
    """The pixels, less their mean; counts its calls, as statistics would move."""

    def build(self, shape):
        self.calls = self.add_weight(
            name="calls", shape=(), initializer="zeros", trainable=False
        )

    @property
    def feature_dim(self):
        return SIZE * SIZE * 3

    def call(self, images, *, training):
        assert training
        self.calls.assign_add(1)
        flat = tf.reshape(images, [images.shape[0], -1])
        return flat - tf.reduce_mean(flat, axis=1, keepdims=True)


class Plain(Objective):
    """Looks for no false negatives."""

    def __init__(self):
        super().__init__(name="plain")
        self.encoder = Pixels(name="encoder")
        self.encoder.build((None, SIZE, SIZE, 3))

    @property
    def requires(self):
        return {"instance": 2}

    def call(self, batch, *, step):
        raise AssertionError("an audit does not train")


class Right(Plain):
    """Takes all views of images with the same label."""

    def detect(self, compared, labels, *, step):
        assert int(step) in (5, 10)
        views, images, dim = compared.candidates.shape
        others = tf.tile(~tf.eye(images, dtype=tf.bool), [1, views])
        flat = tf.reshape(compared.candidates, [views * images, dim])
        scores = tf.matmul(compared.references[0], flat, transpose_b=True)
        alike = labels[:, None] == tf.tile(labels, [views])[None]
        low = scores.dtype.min
        return Detected(tf.where(others, scores, low), alike & others, "what is right")


@pytest.fixture
def opened(tmp_path):
    """Makes a run with images of four similar classes, and with two checkpoints."""
    folder = tmp_path / "W"
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "config.gin").write_text("")
    for step in (5, 10):
        for end in ("index", "data-00000-of-00001"):
            (folder / "checkpoints" / f"step_{step:08d}.{end}").touch()
    record = {f"false_negatives_{n}": v for n, v in [("judged", 4), ("right", 3)]}
    line = {"step": 5, "time": 1.0, **record, "false_negatives_present": 6}
    (folder / "metrics.jsonl").write_text(json.dumps(line) + "\n")

    def make(objective, *, labels=True, count=COUNT):
        rng = np.random.default_rng(0)
        kinds = rng.integers(0, 200, [4, SIZE, SIZE, 3])
        label = np.arange(count) % 4
        images = kinds[label] + rng.integers(0, 50, [count, SIZE, SIZE, 3])
        arrays = {"train_images": images.astype(np.uint8)}
        if labels:
            arrays["train_labels"] = label
        np.savez(tmp_path / "data.npz", **arrays)
        source = Arrays(split="train", path=str(tmp_path / "data.npz"))
        step = tf.Variable(0, dtype=tf.int64)

        def load(workdir, prefix):
            step.assign(int(prefix[-8:]))
            return int(step)

        training = types.SimpleNamespace(
            objective=objective,
            source=source,
            augmentation=Same(),
            data=types.SimpleNamespace(skipped=lambda: []),
            seed=0,
            steps=10,
            batch_size=BATCH,
            load=load,
            state=types.SimpleNamespace(step=step),
        )
        return Run(None, training, Workdir(str(folder)))

    make.folder = folder
    return make


def test_a_right_choice_is_summarised_and_drawn(opened):
    run = opened(Right())
    found = audit(run, Settings(rows=3), say=lambda line: None)
    written = found.write(run.workdir)
    kept = json.loads((opened.folder / "audit.json").read_text())
    assert kept == json.loads(json.dumps(found.found))
    assert kept["choice"]["precision"] == kept["choice"]["recall"] == 1
    assert kept["own_policy"] and kept["policy"] == "what is right"
    assert (kept["images"], kept["compared_images"]) == (40, 10)
    assert float(run.training.objective.encoder.calls) == 0
    assert [row["step"] for row in kept["over_training"]] == [5, 10]
    assert kept["recorded"] == [{"step": 5, "precision": 0.75, "recall": 0.5}]
    # No error, so no picture of errors.
    assert [one["file"] for one in kept["gallery"]] == ["audit_sample.png"]
    assert {path.rpartition("/")[2] for path in written} == {
        "audit.json",
        "audit_sample.png",
        "audit_curves.png",
    }
    for path in written:
        if path.endswith("png"):
            assert pathlib.Path(path).read_bytes().startswith(b"\x89PNG")
    said = "\n".join(summary(kept, "W"))
    assert "the run takes what is right" in said
    assert (
        "precision: 100.0% of the views that are taken have the image's label" in said
    )


def test_for_a_run_without_detection_the_nearest_views_are_taken(opened):
    run = opened(Plain())
    kept = audit(run, Settings(topk=4), say=lambda line: None).found
    assert not kept["own_policy"]
    assert kept["policy"] == "the 4 views of the highest score"
    assert kept["choice"]["found_per_image"] == 4
    # Images of a class look alike, and differ little from view to view.
    assert kept["choice"]["precision"] > 2 * kept["chance_precision"]
    assert kept["stability"]["chosen_again"] > 0.8
    (row,) = (row for row in kept["by_topk"] if row["topk"] == 3)
    assert row["precision"] >= kept["choice"]["precision"]
    high = audit(run, Settings(topk=4, threshold=0.99), say=lambda line: None).found
    assert high["policy"].endswith("score, where they are above 0.99")
    assert high["choice"]["found_per_image"] < 4


def test_pictures_of_an_earlier_audit_are_removed(opened):
    run = opened(Plain())
    audit(run, Settings(topk=18, rows=2), say=lambda line: None).write(run.workdir)
    assert (opened.folder / "audit_errors.png").exists()
    found = audit(run, Settings(threshold=1.0, rows=2), say=lambda line: None)
    assert "audit_errors.png" not in found.shown
    found.write(run.workdir)
    assert {path.name for path in opened.folder.glob("*.png")} == {
        "audit_sample.png",
        "audit_curves.png",
    }


def test_an_objective_that_needs_more_images_gets_advice_for_audits(opened):
    run = opened(Right())

    def refuse(compared, labels, *, step):
        raise UserError("right: too few candidates.")

    run.training.objective.detect = refuse
    said = r"too few candidates\. In this audit 6 images are compared; --images raises"
    with pytest.raises(UserError, match=said):
        audit(run, Settings(images=6), say=lambda line: None)


def damage(run, *steps):
    whole = run.training.load

    def load(workdir, prefix):
        if int(prefix[-8:]) in steps:
            raise Damaged(prefix, "it is too short")
        return whole(workdir, prefix)

    run.training.load = load


def test_without_a_step_the_latest_whole_checkpoint_is_audited(opened):
    run = opened(Right())
    damage(run, 10)
    kept = audit(run, Settings(), say=lambda line: None).found
    assert kept["step"] == 5
    assert [row["step"] for row in kept["over_training"]] == [5]
    (note,) = [one for one in kept["notes"] if "damaged" in one]
    assert note.endswith("step_00000010 is damaged and is skipped: it is too short")


@pytest.mark.parametrize(("settings", "steps"), [({"step": 10}, [10]), ({}, [5, 10])])
def test_a_damaged_checkpoint_is_refused_before_others_are_measured(
    opened, settings, steps
):
    run, said = opened(Right()), []
    damage(run, *steps)
    with pytest.raises(Damaged, match=r"is damaged: it is too short\. Name an earlier"):
        audit(run, Settings(**settings), say=said.append)
    assert said == []


def test_the_most_certain_errors_come_first(opened):
    run = opened(Plain())
    kept = audit(run, Settings(topk=18, rows=4), say=lambda line: None).found
    errors = {one["file"]: one for one in kept["gallery"]}["audit_errors.png"]
    tops = [
        max(c["score"] for c in row["candidates"] if c["right"] is False)
        for row in errors["rows"]
    ]
    assert tops == sorted(tops, reverse=True) and tops
    for row in errors["rows"]:
        for one in row["candidates"]:
            assert one["right"] == (one["label"] == row["anchor"]["label"])


def test_without_labels_there_are_pictures_and_stability(opened):
    run = opened(Plain(), labels=False)
    found = audit(run, Settings(rows=2), say=lambda line: None)
    kept = found.found
    assert not kept["labels"] and kept["choice"]["precision"] is None
    assert kept["curves"] is None and kept["by_class"] == []
    assert [one["file"] for one in kept["gallery"]] == ["audit_sample.png"]
    assert kept["stability"]["chosen_again"] is not None
    said = "\n".join(summary(kept, "W"))
    assert "precision" not in said
    assert "note: the images have no labels, so the choice cannot be checked" in said


def test_fewer_images_than_in_training_get_a_note(opened):
    kept = audit(opened(Right(), count=6), Settings(), say=lambda line: None).found
    assert kept["compared_images"] == 6
    assert "in training an image is compared with 9 others, here only with 5" in str(
        kept["notes"]
    )


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (Settings(step=7), "--step is 7; .* has checkpoints of the steps 5, 10"),
        (Settings(topk=19), "--topk is 19, but there are only 18 views of other"),
        (Settings(images=1), "has 1 image to compare"),
    ],
)
def test_refusals(opened, settings, message):
    with pytest.raises(UserError, match=message):
        audit(opened(Plain()), settings, say=lambda line: None)


def test_a_run_without_checkpoints_or_that_diverged_is_refused(opened):
    run = opened(Plain())
    run.training.objective.encoder.call = lambda images, training: tf.fill(
        [images.shape[0], 4], np.nan
    )
    with pytest.raises(UserError, match="embeddings are not finite: it has diverged"):
        audit(run, Settings(), say=lambda line: None)
    for path in (opened.folder / "checkpoints").iterdir():
        path.unlink()
    with pytest.raises(UserError, match=r"has no checkpoint yet\. A run writes the"):
        audit(run, Settings(), say=lambda line: None)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--images", "1"], "--images is 1; give 2 or more."),
        (["--topk", "0"], "--topk is 0; give 1 or more."),
        (["--rows", "301"], "--rows is 301; give 300 or less."),
        (["--threshold", "2"], "--threshold is 2.0; give a cosine, from -1 to 1."),
        ([], "is not a workdir of a run"),
    ],
)
def test_the_command_refuses_before_tensorflow(tmp_path, capsys, words, message):
    folder = tmp_path
    if words:
        (folder / "config.gin").touch()
    assert main(["audit", str(folder), *words]) == 2
    assert message in capsys.readouterr().err


def test_a_workdir_that_cannot_be_written_is_refused_first(
    tmp_path, capsys, monkeypatch
):
    (tmp_path / "config.gin").touch()
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert main(["audit", str(tmp_path)]) == 2
    said = f"cannot be written: you may not write to {tmp_path}"
    assert said in capsys.readouterr().err
