"""Whether a recipe works: it is built at its full size and run at a small size."""

from __future__ import annotations

import json
import math
import os
import tempfile
import time
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from sslkit import config
from sslkit.checkpoints import CHECKPOINTS, Checkpoints, read, values_of
from sslkit.data.dataset import Data
from sslkit.errors import UserError
from sslkit.plan.placeholders import PlaceholderData, PlaceholderRunner
from sslkit.runners.single import Single
from sslkit.training.run import Training
from sslkit.workdir import Workdir

_REPLICAS = 32
"""The number of devices that a recipe for a TPU is built for."""
_EXAMPLES = 1_281_167
"""The number of training images that a recipe is built for: ImageNet's."""
_SIZE = 64
"""Side of the small run's views, in pixels, if the recipe's are larger."""
_SMALLER = (f"size = {_SIZE}", "backbones.resnet.depth = 18")
"""Overrides that make the network small, for recipes that use these settings."""
_BATCH, _STEPS = 4, 2
_PHOTOGRAPHS, _SIDE = 12, 80
"""Number of generated images of each of two classes, and their side in pixels."""
_EVALUATION = {"train_limit": 12, "test_limit": 6, "batch_size": 12}


class Verified(NamedTuple):
    """What was found for one recipe."""

    parameters: int
    """Trained numbers at full size."""
    views: int
    """Views per global batch at full size."""
    data: str
    """The data that the small run was trained on."""
    loss: float
    """The loss of the small run's last step."""
    protocols: tuple[str, ...]
    """The protocols that it was evaluated by."""
    seconds: float


def verify(
    recipe: str, overrides: Sequence[str] = (), *, data_dir: str | None = None
) -> Verified:
    """Reads a recipe, builds it at full size, and runs it at a small size.

    The full-size state is built by a symbolic call, for 32 replicas if the recipe is
    for a TPU. The small run takes two steps of 4 images on one device, through the
    whole data path. It uses the recipe's own data if that is in `data_dir`, and
    generated images otherwise. Its two checkpoints are restored, and it is evaluated.

    Args:
        recipe: a name as for `config.find_recipe`, without stages.
        overrides: texts such as `train.epochs = 5`.
        data_dir: the folder of prepared TFDS datasets.

    Raises:
        UserError: if something is wrong, in one line.
    """
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        start, photographs = (os.path.join(folder, n) for n in ("start", "photographs"))
        open_keys = config.left_open([recipe], overrides)
        answers = {
            "train.initialize": start,
            "data.name": f"folder:{photographs}",
        }
        given = [
            *overrides,
            *(f"{key} = {answers[key]!r}" for key in open_keys if key in answers),
        ]
        loaded = config.load([recipe], given, data_dir=data_dir)
        full = full_size(loaded)
        views = full.batch_size * sum(
            g.count for g in full.augmentation.groups.values()
        )
        parameters = full.state.parameters
        smaller = _accepted(recipe, given) if full.size > _SIZE else []
        loaded = config.load([recipe], [*given, *smaller], data_dir=data_dir)
        training = loaded.train(
            data=_data(loaded, photographs),
            runner=Single(),
            batch_size=_BATCH,
            accumulate=math.gcd(full.accumulate, _BATCH),
            steps=_STEPS,
            log_every=1,
            checkpoint_every=1,
            inner_steps=1,
            knn_every=0,
        )
        if "train.initialize" in open_keys:
            _save(training, start)
        loss, protocols = _run(loaded, training, os.path.join(folder, "run"))
        return Verified(
            parameters=parameters,
            views=views,
            data=training.source.name,
            loss=loss,
            protocols=protocols,
            seconds=time.perf_counter() - began,
        )


def full_size(loaded: config.Config) -> Training:
    """Builds the state of an unchanged recipe, for devices that need not exist.

    Args:
        loaded: a recipe; if it is for a TPU, the state is built for 32 replicas.

    Raises:
        UserError: if the objective refuses its views or its batch.
    """
    replicas = _REPLICAS if "runners.tpu" in loaded.plugins else 1
    training = loaded.train(
        runner=PlaceholderRunner(replicas=replicas), data=PlaceholderData(_EXAMPLES)
    )
    training.state  # noqa: B018 - builds it, which is what may fail
    return training


def _accepted(recipe: str, given: Sequence[str]) -> list[str]:
    """Returns those of the smaller settings that the recipe uses."""
    accepted = []
    for text in _SMALLER:
        try:
            config.read([recipe], [*given, text])
        except UserError:
            continue
        accepted.append(text)
    return accepted


def _data(loaded: config.Config, photographs: str) -> Data:
    """Returns the recipe's data if this machine has it, else generated images."""
    own: Data = loaded.data()
    if not (own.name or "").startswith("folder:"):
        try:
            for part in ("train", "test"):
                own.source(part)
        except UserError:
            pass
        else:
            return own
    _write_photographs(photographs)
    return Data(name=f"folder:{photographs}")


def _write_photographs(folder: str) -> None:
    random = np.random.default_rng(0)
    for channel, name in enumerate(("red", "green")):
        os.makedirs(os.path.join(folder, name))
        for number in range(_PHOTOGRAPHS):
            pixels = random.integers(0, 100, [_SIDE, _SIDE, 3], np.uint8)
            pixels[..., channel] += 120
            path = os.path.join(folder, name, f"{number}.jpeg")
            tf.io.write_file(path, tf.io.encode_jpeg(pixels))


def _save(training: Training, start: str) -> None:
    """Writes the untrained state, in place of the run that the recipe starts from."""
    Checkpoints(os.path.join(start, CHECKPOINTS)).save(training.state.table, step=0)


def _run(
    loaded: config.Config, training: Training, folder: str
) -> tuple[float, tuple[str, ...]]:
    """Trains, restores and evaluates; returns the last loss and the protocols."""
    workdir = Workdir(folder)
    training.check()
    config.claim(workdir, loaded.resolution.render())
    training.run(workdir, say=lambda line: None)
    first, last = Checkpoints(workdir.checkpoints).prefixes()
    for prefix in (first, last):
        training.load(workdir, prefix)
        table = training.state.table
        saved = values_of(read(prefix), table, prefix)
        for name, variable in table.items():
            if variable.numpy().tobytes() != saved[name].tobytes():
                raise UserError(f"{name} was not restored to the value that was saved.")
    results = loaded.evaluate(
        objective=training.objective,
        data=training.data,
        size=training.size,
        seed=training.seed,
        baselines=False,
        **_EVALUATION,
    ).measure()
    with open(os.path.join(folder, "metrics.jsonl"), encoding="utf-8") as file:
        loss = json.loads(file.read().splitlines()[-1])["loss"]
    return loss, tuple(dict.fromkeys(row.protocol for row in results.rows))
