"""Contrastive self-supervised learning on TensorFlow, built from plugins.

Importing `sslkit` is cheap: TensorFlow loads with `sslkit.api`, which holds all
that a plugin author needs.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from sslkit.comparison import Comparison
    from sslkit.execution import Mode, Run
    from sslkit.export.encoder import Encoder
    from sslkit.page import Page

__all__ = ["compare", "load_encoder", "report", "train"]

__version__ = "0.1.0"


def compare(
    *workdirs: str | os.PathLike[str],
    stage: str | None = None,
    against: str | None = None,
    metrics: Sequence[str] = (),
) -> Comparison:
    """Compares runs: in what they are configured differently, and whether it shows.

    Imports no TensorFlow, but for folders in buckets. In a notebook what is returned
    shows as tables; `to_json()` and `rows()` give plain values.

    Args:
        *workdirs: folders of runs, or of sweeps; at least two runs in all.
        stage: of recipes with several stages, which of them.
        against: letter of the configuration that others are compared with; by default
            the first, A.
        metrics: names of metrics of training whose last values are compared, too.

    Raises:
        UserError: if a folder holds no run, or there are fewer than two.
    """
    from sslkit import comparison

    folders = [os.fspath(folder) for folder in workdirs]
    return comparison.compare(folders, stage=stage, against=against, metrics=metrics)


def load_encoder(path: str | os.PathLike[str]) -> Encoder:
    """Loads a trained encoder: a callable from images to features.

    Args:
        path: a run's workdir, an export of `sslkit export`, or a checkpoint of the
            published TensorFlow 1 code such as `model.ckpt-1234`.

    Raises:
        UserError: if there is nothing that holds an encoder.
    """
    _ready()
    from sslkit import runs

    return runs.load_encoder(path)


def train(
    *,
    gin: str | Sequence[str],
    set: str | Sequence[str] = (),
    workdir: str | os.PathLike[str],
    stage: str | None = None,
    data_dir: str | None = None,
    mode: Mode = "train-then-evaluate",
    extend: bool = False,
) -> Run:
    """Does in this process what `sslkit train` does: trains, or goes on, and evaluates.

    May be called again, with another recipe too, and from a thread. What is bound in
    gin for other purposes stays as it is. Devices are set up once in a process.

    Args:
        gin: recipes, e.g. `gin/fnc_digits_pretrain.gin`, in order.
        set: bindings after all recipes, e.g. `train.epochs = 5`.
        workdir: the run's folder; an earlier run of the same recipe in it goes on.
        stage: one stage, of a recipe that has several.
        data_dir: where datasets are; short for binding `data.data_dir`.
        mode: `train-then-evaluate`, `train`, or `evaluate`, which measures the latest
            checkpoint.
        extend: whether to go on although the data has changed, or for longer than the
            run was started as.

    Returns:
        The run: `workdir`, `step`, `steps`, `finished`, and `result`, the evaluation as
        `result.json` holds it.

    Raises:
        UserError: for what the user can mend, in one line.
        Stopped: a KeyboardInterrupt; after a signal, when the state is saved.
    """
    _ready()
    from sslkit import execution

    return execution.train(
        gin,
        set,
        workdir=workdir,
        stage=stage,
        data_dir=data_dir,
        mode=mode,
        extend=extend,
    )


def report(
    *workdirs: str | os.PathLike[str],
    map: Literal["pca", "tsne"] = "pca",
    images: int = 1000,
    rows: int = 6,
    detail: int = 4,
    set: str | Sequence[str] = (),
    data_dir: str | None = None,
) -> Page:
    """Makes in this process what `sslkit report` writes; a notebook shows it.

    Args:
        *workdirs: folders of runs, or with several runs in them.
        map: what places images in the map: `pca`, or `tsne`, which takes seconds.
        images: of the map, at most.
        rows: random images whose neighbours are shown.
        detail: of so many runs, seeds counted once, the images are shown; 0 reads no
            data at all.
        set: bindings for opening the runs again, e.g. where the data is now.
        data_dir: where datasets are; short for binding `data.data_dir`.

    Returns:
        The page, as the value of a cell shown in place; `save` writes it to a file.

    Raises:
        UserError: for what the user can mend, in one line.
    """
    _ready()
    from sslkit.errors import UserError
    from sslkit.page import Looking
    from sslkit.page import report as make

    if not workdirs:
        raise UserError("sslkit.report needs the folder of a run: sslkit.report(W)")
    overrides = (set,) if isinstance(set, str) else tuple(set)
    how = Looking(images, map, rows, overrides, data_dir)
    return make([os.fspath(one) for one in workdirs], how, detail=detail)


def _ready() -> None:
    """Refuses another backend of Keras before anything imports Keras."""
    from sslkit.keras_backend import require_tensorflow

    require_tensorflow()
