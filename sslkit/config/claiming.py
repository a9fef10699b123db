"""Which configuration a run's folder belongs to."""

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
"""Bindings that may be changed when a run continues: they do not change what it
computes, except for rounding."""


LENGTH = ("train.epochs", "train.steps")
"""Bindings that may also be changed with `--extend`."""


def claim(
    workdir: Workdir, resolved: str, *, write: bool = True, extend: bool = False
) -> None:
    """Makes a folder the workdir of a configuration.

    Paths are written as absolute paths, so that the run can be opened from any folder.
    Different spellings of a path count as equal, and so do the old and the new path of
    a start that was moved together with the run.

    Args:
        workdir: the folder.
        resolved: the configuration as gin text.
        write: whether this process writes it; of several processes, only one does.
        extend: whether the length of the run may have changed.

    Raises:
        UserError: if the folder belongs to a run with another configuration, or cannot
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
                    f"{workdir.path} is a run of another length ({shown}). Add "
                    "--extend to make it longer; for a shorter run choose another "
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
    """Lists why the run in a folder cannot continue with a configuration.

    Args:
        workdir: the folder.
        there: the configuration in that folder.
        resolved: the configuration to continue with, as gin text.
        extend: whether the length of the run may have changed.

    Returns:
        A line for each binding that differs but may not, as from `difference`.
    """
    resolved = places.absolute(resolved)
    old, new = (
        places.comparable(text, workdir=workdir, started=places.start(resolved))
        for text in (there, resolved)
    )
    free = (*FREE, *LENGTH) if extend else FREE
    return difference(old, new, ignore=free, name=os.path.join(workdir, "config.gin"))
