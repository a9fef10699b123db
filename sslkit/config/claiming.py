"""Which recipe a run's folder belongs to."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from sslkit.config import places
from sslkit.config.comparison import difference
from sslkit.errors import UserError

if TYPE_CHECKING:
    from sslkit.workdir import Workdir

FREE = (
    "train.runner",
    "runners.*",
    "data.data_dir",
    "data.cache",
    "data.cache_dir",
    "data.service",
    "train.keep",
    "train.keep_best",
    "train.keep_every_hours",
    "train.log_every",
    "train.checkpoint_every",
    "train.knn_every",
    "train.on_nonfinite",
    "train.health_every",
    "train.inner_steps",
    "train.tf32",
    "train.deterministic",
    "train.reporters",
    "reporters.*",
    "evaluate.*",
    "evaluations.*",
)
"""Bindings that a resumed run may change: they do not change what it computes, but for
rounding."""


LENGTH = ("train.epochs", "train.steps")
"""Bindings that an extended run may change, too."""


def claim(
    workdir: Workdir, resolved: str, *, write: bool = True, extend: bool = False
) -> None:
    """Makes a folder that of a configuration.

    Paths are kept absolute, so that the run can be opened from any folder; a path is
    the same however it is spelled, and a start that moved with the run is, too.

    Args:
        workdir: the folder.
        resolved: the configuration as gin text.
        write: whether this process writes it; of several, one does.
        extend: whether the run may be of another length than it was.

    Raises:
        UserError: if it belongs to a run that computes something else, or cannot
            be written.
    """
    resolved = places.absolute(resolved)
    if workdir.is_claimed():
        there = workdir.read_config()
        changes = conflict(workdir.path, there, resolved, extend=extend)
        if changes:
            shown = "; ".join(changes[:5]) + ("; …" if len(changes) > 5 else "")
            if not conflict(workdir.path, there, resolved, extend=True):
                raise UserError(
                    f"{workdir.path} is a run of another length ({shown}). With "
                    "--extend it is made longer; for a shorter one choose another "
                    "--workdir."
                )
            raise UserError(
                f"{workdir.path} belongs to another run ({shown}). Choose another "
                "--workdir, or start from its weights with "
                f"--set 'train.initialize = \"{workdir.path}\"'."
            )
    if write:
        workdir.write_config(resolved)


def conflict(
    workdir: str, there: str, resolved: str, *, extend: bool = False
) -> list[str]:
    """Says why a folder is not one in which a configuration goes on.

    Args:
        workdir: the folder.
        there: the configuration that it keeps.
        resolved: the one that is to run there, as gin text.
        extend: whether the run may be of another length than it was.

    Returns:
        A line for each binding that differs and may not, see `difference`.
    """
    resolved = places.absolute(resolved)
    old, new = (
        places.comparable(text, workdir=workdir, started=places.start(resolved))
        for text in (there, resolved)
    )
    free = (*FREE, *LENGTH) if extend else FREE
    return difference(old, new, ignore=free, name=os.path.join(workdir, "config.gin"))
