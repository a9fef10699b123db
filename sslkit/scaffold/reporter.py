"""The new_thing reporter."""

from __future__ import annotations

import os
from collections.abc import Mapping

from sslkit.api import Reporter, RunInfo, checked

Setting = bool | int | float | str


class NewThing(Reporter):
    """Writes the loss to a text file, one line per report.

    To be changed: what is reported, and where to.

    Args:
        name: the name of the file in the run's folder.
    """

    @checked
    def __init__(self, *, name: str = "new_thing.txt") -> None:
        """Keeps the options; nothing is opened yet."""
        self._name = name
        self._path: str | None = None

    def open(self, run: RunInfo) -> None:
        """Opens the reports of a run; see `Reporter`."""
        os.makedirs(run.workdir, exist_ok=True)
        self._path = os.path.join(run.workdir, self._name)

    def write(
        self,
        step: int,
        metrics: Mapping[str, float],
        *,
        time: float,
        machine: Mapping[str, Setting],
    ) -> None:
        """Reports numbers; see `Reporter`."""
        if self._path is not None and "loss" in metrics:
            with open(self._path, "a", encoding="utf-8") as file:
                file.write(f"{step}\t{metrics['loss']:.6g}\n")
