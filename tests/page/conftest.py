"""Folders with the files of runs, made by hand: nothing is trained."""

from __future__ import annotations

import json
import pathlib

import numpy as np
import pytest
import tensorflow as tf

from sslkit.evaluate.features import Features
from sslkit.page import content as gathering
from sslkit.page.album import Album
from sslkit.page.looking import Look
from sslkit.page.mapping import draw_map
from sslkit.page.mistakes import find_mistakes
from sslkit.page.neighbours import neighbour_rows
from sslkit.source import Source

SIDE = 8

CONFIG = """# Resolved from gin/fnc_digits_pretrain.gin.

data.name = 'digits'

objectives.fnc.topk = {topk}

train.epochs = 10
train.seed = {seed}
"""


def row(protocol, representation, top1, tested=50):
    return {
        "protocol": protocol,
        "representation": representation,
        "top1": top1,
        "top5": 1.0,
        "n_train": 100,
        "n_test": tested,
        "detail": "",
    }


def result(top1=0.9, *, rank=30.0, untrained=0.6, pixels=0.7, tested=50):
    health = {
        "effective_rank": rank,
        "spread": 0.4,
        "uniformity": -1.0,
        "dim": 64,
        "examples": 50,
    }
    names = {
        "trained encoder": top1,
        "untrained encoder": untrained,
        "raw pixels": pixels,
    }
    return {
        "step": 100,
        "rows": [
            row(protocol, name, value, tested)
            for protocol in ("kNN (k=20, T=0.07)", "linear (logistic regression)")
            for name, value in names.items()
        ],
        "health": {"trained encoder": health},
        "health_split": "test",
        "notes": [],
    }


def lines(losses, *, waited=0.0, **others):
    """Reports every ten steps, a second apart."""
    return [
        {
            "step": 10 * n,
            "time": 1000.0 + n,
            "loss": loss,
            **{name: values[n - 1] for name, values in others.items()},
            "machine": {
                "device": "CPU",
                "views_per_second": 500.0,
                "data_wait_seconds": waited,
                "host_memory_bytes": 2**30,
            },
        }
        for n, loss in enumerate(losses, start=1)
    ]


@pytest.fixture
def make(tmp_path):
    """Makes the folder of a run."""

    def made(
        name="run",
        reports=None,
        *,
        seed=0,
        topk=10,
        measured=None,
        steps=100,
        data="digits/train",
        tested=400,
    ) -> pathlib.Path:
        folder = tmp_path / name
        folder.mkdir(parents=True)
        (folder / "config.gin").write_text(CONFIG.format(seed=seed, topk=topk))
        about = {"train": {"name": data, "size": 100, "classes": 10}, "steps": steps}
        about["test"] = {"name": "digits/test", "size": tested}
        (folder / "data.json").write_text(json.dumps(about))
        reports = lines([10.0 - n for n in range(10)]) if reports is None else reports
        text = "".join(json.dumps(line) + "\n" for line in reports)
        (folder / "metrics.jsonl").write_text(text)
        (folder / "facts.json").write_text(json.dumps({"tensorflow": "2.21.0"}))
        if measured is not None:
            (folder / "result.json").write_text(json.dumps(measured))
        return folder

    return made


class Colours(Source):
    """Images of one colour each; the class is its channel."""

    label_names = ("red", "<b>green</b>", "blue")

    def __init__(self, name: str, size: int, *, labelled: bool = True):
        self.name, self.size = name, size
        self.classes = 3 if labelled else None
        random = np.random.default_rng(len(name))
        self.label_of = random.integers(0, 3, size)
        self.features = random.normal(0, 0.6, [size, 3])
        self.features[np.arange(size), self.label_of] += 1
        self.features = self.features.astype(np.float32)
        self.labelled = labelled

    def example(self, index):
        colour = tf.one_hot(tf.constant(self.label_of)[index], 3) * 200
        image = tf.cast(tf.broadcast_to(colour, [SIDE, SIDE, 3]), tf.uint8)
        return image, tf.constant(-1)

    def read_features(self) -> Features:
        label = self.label_of if self.labelled else np.full(self.size, -1)
        return Features(self.features, label.astype(np.int32), np.arange(self.size))


@pytest.fixture(scope="module")
def look():
    """What looking at an encoder comes to, without one."""

    def made(*, labelled=True) -> Look:
        bank = Album(Colours("colours/train", 90, labelled=labelled), SIDE)
        shown = Album(Colours("colours/test", 60, labelled=labelled), SIDE)
        of_bank, of_shown = (one.source.read_features() for one in (bank, shown))
        found = None
        if labelled:
            found = find_mistakes(of_bank, of_shown, bank, shown, temperature=0.07)
        return Look(
            step=100,
            split="colours/test",
            shown=60,
            of=60,
            map=draw_map(of_shown, shown, "pca"),
            faces=shown.images(range(60), 40),
            rows=neighbour_rows(of_bank, of_shown, bank, shown, count=3),
            searched="90 images of colours/train",
            mistakes=found,
            views=(),
            notes=() if labelled else ("there are no labels",),
        )

    return {True: made(), False: made(labelled=False)}


@pytest.fixture
def seen(monkeypatch, look):
    """Lets every run that has a checkpoint be looked at, with or without labels."""

    def let(*, labelled=True):
        monkeypatch.setattr(gathering, "look", lambda record, how: look[labelled])

    return let


def saved(folder) -> pathlib.Path:
    (folder / "checkpoints").mkdir()
    (folder / "checkpoints" / "step_00000100.index").touch()
    return folder
