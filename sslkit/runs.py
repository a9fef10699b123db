"""Runs that exist already: opened again from what their workdir keeps."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from sslkit import config
from sslkit.api import Backbone, Batch, Objective, Outcome
from sslkit.checkpoints import find_checkpoint, read, step_of
from sslkit.errors import UserError
from sslkit.evaluate.protocol import Planned
from sslkit.export.encoder import Encoder, ExportedEncoder, LiveEncoder
from sslkit.nn.precision import Precision
from sslkit.published.encoder import (
    imported_encoder,
    is_import,
    published_encoder,
)
from sslkit.published.importing import PART
from sslkit.published.transfer import is_published, shapes_of
from sslkit.storage import reaching
from sslkit.training.actions import Action, Measure
from sslkit.training.duties import check_best
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


def claimed(run: Run) -> Run:
    """Takes the devices of a run, and computes as it does, for the rest of a process.

    For a command whose process is its own; before anything runs in TensorFlow, which
    would take all the memory of all GPUs.

    Raises:
        UserError: if its devices are not there.
    """
    run.training.arithmetic.take()
    run.training.runner.strategy  # noqa: B018
    return run


def evaluation(run: config.Config, training: Training, **settings: Any) -> Planned:
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
    training: Training, planned: Planned, say: Callable[[str], None] = print
) -> list[Action]:
    """Returns what is measured of a run while it trains: kNN, where a recipe asks.

    Looks at the labels now: a probe that cannot be made is left out, and said.

    Args:
        training: the run.
        planned: its evaluation.
        say: prints a line for the user.

    Raises:
        UserError: if a split that the recipe names for it is missing or has no labels,
            or the best checkpoint is to be kept by what is not measured.
    """
    found: list[Action] = []
    probe = planned.probe() if training.knn_every else None
    why_not = probe.unlabelled() if probe is not None else None
    if why_not is not None:
        say(f"kNN during training is off: {why_not}")
    elif probe is not None:
        knn = functools.partial(_knn, probe)
        found.append(Measure(knn, every=training.knn_every, finds=["knn_top1"]))
    check_best(training.keep, found)
    return found


def _knn(probe: Callable[[], float]) -> dict[str, float]:
    return {"knn_top1": probe()}


def load_encoder(path: str | os.PathLike[str]) -> Encoder:
    """Loads a trained encoder.

    Args:
        path: a run's workdir, an export of `sslkit export`, what `sslkit import` wrote,
            or a checkpoint of the published TensorFlow 1 code such as
            `model.ckpt-1234`.

    Returns:
        The encoder, on the default device.

    Raises:
        UserError: if there is nothing that holds an encoder.
    """
    # The process is the caller's: TensorFlow starts with the devices it sees there.
    tf.config.list_logical_devices()
    path = os.fspath(path)
    if tf.io.gfile.exists(os.path.join(path, "saved_model.pb")):
        return ExportedEncoder(path)
    if tf.io.gfile.exists(os.path.join(path, "config.gin")):
        run = reopen(path)
        run.training.load(run.workdir)
        return LiveEncoder(run.training.objective.encoder, run.training.size)
    if is_import(path):
        return LiveEncoder(*imported_encoder(path))
    return _from_checkpoint(path)


class Bare(Objective):
    """An encoder alone, as an import holds one: for those who export an objective."""

    requires: Mapping[str, int] = {}

    def __init__(self, encoder: Backbone):
        """Holds a built encoder."""
        super().__init__(name="imported")
        self.encoder = encoder

    def call(self, batch: Batch, *, step: tf.Tensor) -> Outcome:
        """Is never called: nothing is trained."""
        raise AssertionError("never called: nothing is trained")


class Trained(NamedTuple):
    """What is exported: an encoder, and where it comes from."""

    objective: Objective
    """Built and filled; holds the encoder."""
    size: int
    """Side of the images, in pixels."""
    step: int
    """Updates done."""
    steps: int
    """Updates of the whole run."""
    config: str
    """What it was made with, gin text."""
    result: Mapping[str, Any] | None
    """What the run's last evaluation found, if there was one."""
    table: Mapping[str, keras.Variable] | None
    """The run's variables; None for an import."""
    precision: Precision | None
    """What the run's network was trained in; None for an import."""


def open_trained(
    path: str, overrides: Sequence[str] = (), *, data_dir: str | None = None
) -> Trained:
    """Opens a run's latest checkpoint, or what `sslkit import` wrote.

    In float32, whatever the run computed in, unless an override says otherwise.

    Args:
        path: the run's folder, or the import's.
        overrides: as `reopen`; none for an import.
        data_dir: as `reopen`; none for an import.

    Raises:
        UserError: if it is neither; and as `reopen`.
    """
    if not is_import(path):
        # Programs elsewhere may know no bfloat16, and processors be slow at it.
        wide = ["train.precision = 'float32'", *overrides]
        _, training, workdir = claimed(reopen(path, wide, data_dir=data_dir))
        run = reopen(path, data_dir=data_dir).training
        step = training.load(workdir)
        return Trained(
            training.objective,
            training.size,
            step,
            training.steps,
            workdir.read_config(),
            workdir.result(),
            training.state.table,
            run.arithmetic.precision,
        )
    if overrides or data_dir is not None:
        raise UserError(
            f"{path} is an import of published weights: no recipe made it, so leave "
            "out --set and --data-dir."
        )
    encoder, size = imported_encoder(path)
    step = step_of(find_checkpoint(path))
    part = os.path.join(path, PART)
    with reaching("the import", path), tf.io.gfile.GFile(part) as file:
        text = file.read()
    return Trained(Bare(encoder), size, step, step, text, None, None, None)


def _from_checkpoint(path: str) -> Encoder:
    try:
        prefix = find_checkpoint(path)
    except UserError as error:
        raise UserError(
            f"{path} holds no encoder: it is neither a run's workdir (with config.gin) "
            "nor an export (with saved_model.pb) nor an import (with network.json) nor "
            "the prefix of a published checkpoint (such as model.ckpt-1234)."
        ) from error
    if not is_published(shapes_of(read(prefix)), prefix):
        raise UserError(
            f"{prefix} is one checkpoint of a run and does not say how its encoder is "
            "built. Name the run's workdir."
        )
    return LiveEncoder(*published_encoder(prefix))
