"""Contrastive self-supervised learning on TensorFlow, built from plugins.

Importing `sslkit` is cheap. TensorFlow is imported by `sslkit.api`, which has all that
a plugin author needs.
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

__version__ = "0.2.0"


def compare(
    *workdirs: str | os.PathLike[str],
    stage: str | None = None,
    against: str | None = None,
    metrics: str | Sequence[str] = (),
) -> Comparison:
    """Compares runs: how their configurations differ, and how their results differ.

    TensorFlow is imported only for folders in buckets. In a notebook the result is
    shown as tables; `to_json()` and `rows()` return plain values.

    Args:
        *workdirs: folders of runs, or of sweeps; at least two runs in all.
        stage: the stage to compare, for recipes with several stages.
        against: letter of the configuration with which the others are compared; by
            default the first, A.
        metrics: names of training metrics whose last values are compared, too; or one
            name.

    Raises:
        UserError: if a folder is not that of a run, or there are fewer than two runs.
    """
    from sslkit import comparison
    from sslkit.errors import UserError

    if not workdirs:
        raise UserError("sslkit.compare needs folders of runs: sslkit.compare(W, V)")
    folders = [os.fspath(folder) for folder in workdirs]
    names = [metrics] if isinstance(metrics, str) else list(metrics)
    return comparison.compare(folders, stage=stage, against=against, metrics=names)


def load_encoder(path: str | os.PathLike[str]) -> Encoder:
    """Loads a trained encoder: a callable from images to features.

    Args:
        path: a run's workdir, an export of `sslkit export`, or a checkpoint of the
            published TensorFlow 1 code such as `model.ckpt-1234`.

    Raises:
        UserError: if `path` is none of these.
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
    """Trains or resumes a run and evaluates it, as `sslkit train` does.

    It may be called several times, with different recipes, and from a thread. It does
    not change gin's global bindings. Devices are set up once per process.

    Args:
        gin: recipes, e.g. `gin/fnc_digits_pretrain.gin`, in order.
        set: bindings after all recipes, e.g. `train.epochs = 5`.
        workdir: the run's folder; an earlier run of the same recipe in it is resumed.
        stage: the stage to train, for a recipe with several stages.
        data_dir: where datasets are; short for binding `data.data_dir`.
        mode: `train-then-evaluate`, `train`, or `evaluate`, which measures the latest
            checkpoint.
        extend: whether to resume a run although the data has changed, or to make it
            longer than it was started.

    Returns:
        The run: `workdir`, `step`, `steps`, `finished`, and `result`, the evaluation as
        in `result.json`.

    Raises:
        UserError: for a problem that the user can solve, in one line.
        Stopped: after a signal, when the state is saved. It is a KeyboardInterrupt.
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
    """Makes the page of `sslkit report`; a notebook shows it.

    Args:
        *workdirs: folders of runs, or with several runs in them.
        map: how images are placed in the map: `pca`, or `tsne`, which takes seconds.
        images: the most images in the map.
        rows: random images whose neighbours are shown.
        detail: the number of runs whose images are shown, where runs that differ only
            in the seed count once; with 0, no data is read.
        set: bindings for opening the runs again, e.g. where the data is now.
        data_dir: where datasets are; short for binding `data.data_dir`.

    Returns:
        The page. As the value of a notebook's cell it is shown; `save` writes it to a
        file.

    Raises:
        UserError: for a problem that the user can solve, in one line.
    """
    _ready()
    from sslkit.errors import UserError
    from sslkit.page import Options
    from sslkit.page import report as make

    if not workdirs:
        raise UserError("sslkit.report needs the folder of a run: sslkit.report(W)")
    overrides = (set,) if isinstance(set, str) else tuple(set)
    how = Options(images, map, rows, overrides, data_dir)
    return make([os.fspath(one) for one in workdirs], how, detail=detail)


def _ready() -> None:
    """Refuses another backend of Keras before anything imports Keras."""
    from sslkit.keras_backend import require_tensorflow

    require_tensorflow()
