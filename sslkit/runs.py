"""Opening existing runs again, from the files in their workdirs."""

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
    """Its parts; nothing is built or restored yet."""
    workdir: Workdir


def reopen(
    path: str, overrides: Sequence[str] = (), *, data_dir: str | None = None
) -> Run:
    """Loads the configuration of a workdir, to run on one device.

    Evaluation and export need only one device, whatever the run was trained on; the
    checkpoint does not depend on the number of devices.

    Args:
        path: the run's folder.
        overrides: texts such as `train.epochs = 5`; they may name another runner.
        data_dir: short for the override `data.data_dir = '...'`.

    Raises:
        UserError: if the folder is not a run's, and as `config.load`.
    """
    workdir = Workdir(path)
    loaded = config.load(
        [workdir.config()],
        ["train.runner = @runners.single()", *overrides],
        data_dir=data_dir,
    )
    return Run(loaded, loaded.train(), workdir)


def claimed(run: Run) -> Run:
    """Sets up the devices and the arithmetic of a run, for the rest of the process.

    For commands, whose process is their own. Call it before anything runs in
    TensorFlow, which would otherwise take all the memory of all GPUs.

    Raises:
        UserError: if this machine does not have the run's devices.
    """
    run.training.arithmetic.take()
    run.training.runner.strategy  # noqa: B018
    return run


def evaluation(run: config.Config, training: Training, **settings: Any) -> Planned:
    """Describes how a run's recipe evaluates its encoder; nothing is read yet.

    Args:
        run: the configuration.
        training: holds the encoder; its objective is built here if it is not built yet.
        **settings: arguments of `sslkit.evaluate.protocol.evaluate`, which override the
            recipe's.
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
    """Returns what is measured while a run trains: kNN, if the recipe asks for it.

    The labels are checked now. Without labels kNN is left out, and `say` says so.

    Args:
        training: the run.
        planned: its evaluation.
        say: prints a line for the user.

    Raises:
        UserError: if a split that the recipe names for kNN is missing or has no labels,
            or if the best checkpoint is to be chosen by a metric that is not measured.
    """
    found: list[Action] = []
    probe = planned.probe() if training.knn_every else None
    why_not = probe.unlabelled() if probe is not None else None
    if why_not is not None:
        say(f"kNN during training is off, because {why_not.why} (see {why_not.option})")
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
        path: a run's workdir, a folder that `sslkit export` or `sslkit import` wrote,
            or a checkpoint of the published TensorFlow 1 code, such as
            `model.ckpt-1234`.

    Returns:
        The encoder, on the default device.

    Raises:
        UserError: if the path does not hold an encoder.
    """
    # The process is the caller's, so TensorFlow starts with all devices that it finds.
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
    """An objective that only holds an encoder: what an import is exported from."""

    requires: Mapping[str, int] = {}

    def __init__(self, encoder: Backbone):
        """Holds a built encoder."""
        super().__init__(name="imported")
        self.encoder = encoder

    def call(self, batch: Batch, *, step: tf.Tensor) -> Outcome:
        """Raises an error: an import is not trained."""
        raise AssertionError("never called: nothing is trained")


class Trained(NamedTuple):
    """What is exported: an encoder, and how it was made."""

    objective: Objective
    """Holds the encoder, built and with its trained weights."""
    size: int
    """Side of the images, in pixels."""
    step: int
    """Updates done."""
    steps: int
    """Updates of the whole run."""
    config: str
    """The configuration that it was made with, as gin text."""
    result: Mapping[str, Any] | None
    """The result of the run's last evaluation; None if there was none."""
    table: Mapping[str, keras.Variable] | None
    """The run's variables, by name; None for an import."""
    precision: Precision | None
    """The precision that the network was trained in; None for an import."""


def open_trained(
    path: str, overrides: Sequence[str] = (), *, data_dir: str | None = None
) -> Trained:
    """Opens a run's latest checkpoint, or a folder that `sslkit import` wrote.

    The encoder computes in float32, whatever the run computed in, unless an override
    says otherwise.

    Args:
        path: the folder of the run or of the import.
        overrides: as for `reopen`; an import takes none.
        data_dir: as for `reopen`; an import takes none.

    Raises:
        UserError: if the folder is neither; and as `reopen`.
    """
    if not is_import(path):
        # Other programs may not support bfloat16, and many CPUs are slow at it.
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
            f"{path} is an import of published weights, without a recipe. Leave out "
            "--set and --data-dir."
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
            f"{path} does not hold an encoder. Name a run's workdir (it has a "
            "config.gin), an export (saved_model.pb), an import (network.json) or the "
            "prefix of a published checkpoint (such as model.ckpt-1234)."
        ) from error
    if not is_published(shapes_of(read(prefix)), prefix):
        raise UserError(
            f"{prefix} is a checkpoint of a run, which does not say how the encoder is "
            "built. Name the run's workdir."
        )
    return LiveEncoder(*published_encoder(prefix))
