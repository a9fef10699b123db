"""Runs that exist already: opened again from what their workdir keeps."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import tensorflow as tf

from sslkit import config
from sslkit.checkpoints import find_checkpoint, read
from sslkit.errors import UserError
from sslkit.evaluate.protocol import Evaluation
from sslkit.export.encoder import Encoder, ExportedEncoder, LiveEncoder
from sslkit.published.encoder import published_encoder
from sslkit.published.transfer import is_published, shapes_of
from sslkit.training.actions import Action, Measure
from sslkit.training.run import Training
from sslkit.workdir import Workdir


class Run(NamedTuple):
    """A run that was opened again."""

    config: config.Config
    training: Training
    """What it is made of; nothing is built or restored yet."""
    workdir: Workdir


def reopen(
    path: str, overrides: Sequence[str] = (), *, data_dir: str | None = None
) -> Run:
    """Loads the configuration that a workdir keeps, on one device.

    Evaluation and export need no more than one, whatever the run was trained on; the
    checkpoint does not depend on it.

    Args:
        path: the run's folder.
        overrides: texts such as `train.epochs = 5`; they may name another runner.
        data_dir: short for the override `data.data_dir = '...'`.

    Raises:
        UserError: if it is no run's folder, and as `config.load`.
    """
    workdir = Workdir(path)
    loaded = config.load(
        [workdir.config()],
        ["train.runner = @runners.single()", *overrides],
        data_dir=data_dir,
    )
    return Run(loaded, loaded.train(), workdir)


def evaluation(run: config.Config, training: Training, **settings: Any) -> Evaluation:
    """Describes how a run's recipe evaluates its encoder; nothing is read yet.

    Args:
        run: the configuration.
        training: holds the encoder; its objective is built here if it is not yet.
        **settings: of `sslkit.evaluate.protocol.evaluate`, before the recipe's.
    """
    return run.evaluate(
        objective=training.objective,
        data=training.data,
        size=training.size,
        seed=training.seed,
        untrained=training.untrained_encoder,
        **settings,
    )


def measures(
    training: Training, planned: Evaluation, say: Callable[[str], None] = print
) -> list[Action]:
    """Returns what is measured of a run while it trains: kNN, where a recipe asks.

    Looks at the labels now: a probe that cannot be made is left out, and said.

    Args:
        training: the run.
        planned: its evaluation.
        say: prints a line for the user.

    Raises:
        UserError: if a split that the recipe names for it is missing or has no labels.
    """
    if not training.knn_every:
        return []
    probe = planned.probe()
    why_not = probe.unlabelled()
    if why_not is not None:
        say(f"kNN during training is off: {why_not}")
        return []
    return [Measure(lambda: {"knn_top1": probe()}, every=training.knn_every)]


def load_encoder(path: str | os.PathLike[str]) -> Encoder:
    """Loads a trained encoder.

    Args:
        path: a run's workdir, an export of `sslkit export`, or a checkpoint of the
            published TensorFlow 1 code such as `model.ckpt-1234`.

    Returns:
        The encoder, on the default device.

    Raises:
        UserError: if there is nothing that holds an encoder.
    """
    path = os.fspath(path)
    if tf.io.gfile.exists(os.path.join(path, "saved_model.pb")):
        return ExportedEncoder(path)
    if tf.io.gfile.exists(os.path.join(path, "config.gin")):
        run = reopen(path)
        run.training.load(run.workdir)
        return LiveEncoder(run.training.objective.encoder, run.training.size)
    return _from_checkpoint(path)


def _from_checkpoint(path: str) -> Encoder:
    try:
        prefix = find_checkpoint(path)
    except UserError as error:
        raise UserError(
            f"{path} holds no encoder: it is neither a run's workdir (with config.gin) "
            "nor an export (with saved_model.pb) nor the prefix of a published "
            "checkpoint (such as model.ckpt-1234)."
        ) from error
    if not is_published(shapes_of(read(prefix)), prefix):
        raise UserError(
            f"{prefix} is one checkpoint of a run and does not say how its encoder is "
            "built. Name the run's workdir."
        )
    return LiveEncoder(*published_encoder(prefix))
