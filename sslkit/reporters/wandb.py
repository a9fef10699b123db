"""The reporter for Weights & Biases, whose package must be installed."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from typing import Any

from sslkit.api import Reporter, RunInfo, UserError, checked
from sslkit.reporter import Setting
from sslkit.reporters.accuracies import accuracies


class WandB(Reporter):
    """Sends metrics, views, configuration and accuracies to Weights & Biases.

    A resumed run is resumed there, too: its id depends on its workdir. The key is read
    by `wandb` itself (`wandb login`, or WANDB_API_KEY); do not write it in a recipe.
    """

    @checked
    def __init__(
        self,
        *,
        project: str = "sslkit",
        entity: str | None = None,
        name: str | None = None,
    ):
        """Keeps the options; nothing is sent yet.

        Args:
            project: where the run is shown.
            entity: the user or team; None for the one that is logged in.
            name: of the run; None for the last part of its workdir.
        """
        self._project = project
        self._entity = entity
        self._name = name

    def check(self) -> None:
        """Implements `Reporter.check`."""
        _package()

    def open(self, run: RunInfo) -> None:
        """Implements `Reporter.open`."""
        self._run = self._begin(run)

    def write(
        self,
        step: int,
        metrics: Mapping[str, float],
        *,
        time: float,
        machine: Mapping[str, Setting],
    ) -> None:
        """Implements `Reporter.write`."""
        del time
        known = {f"machine/{name}": value for name, value in machine.items()}
        self._run.log({**metrics, **known}, step=step)

    def picture(self, name: str, png: bytes, *, step: int) -> None:
        """Implements `Reporter.picture`."""
        import tensorflow as tf

        # There, steps must not decrease, and the picture may be of an earlier step.
        del step
        pixels = tf.io.decode_png(png).numpy()
        self._run.log({name: _package().Image(pixels)})

    def result(self, run: RunInfo, result: Mapping[str, Any]) -> None:
        """Implements `Reporter.result`."""
        shown = self._begin(run)
        shown.summary.update(accuracies(result))
        shown.finish()

    def close(self) -> None:
        """Implements `Reporter.close`."""
        self._run.finish()

    def _begin(self, run: RunInfo) -> Any:
        place = run.workdir
        if "://" not in place:
            place = os.path.abspath(place)
        return _package().init(
            project=self._project,
            entity=self._entity,
            name=self._name or os.path.basename(place.rstrip("/")),
            id=hashlib.sha256(place.encode()).hexdigest()[:16],
            resume="allow",
            config={**run.settings, "about": dict(run.facts)},
        )


def _package() -> Any:
    try:
        import wandb
    except ImportError as error:
        raise UserError(
            "@reporters.wandb() needs the package wandb: pip install 'sslkit[wandb]', "
            "or leave it out of train.reporters."
        ) from error
    return wandb
