"""The contract of reporters: those who are told how a run goes."""

from __future__ import annotations

import abc
from collections.abc import Mapping
from typing import Any, NamedTuple

Setting = bool | int | float | str


class RunInfo(NamedTuple):
    """What a reporter is told of a run before anything else."""

    workdir: str
    """The run's folder, which may be in a bucket."""
    start: int
    """Updates that are done: 0 for a fresh run. What was reported of later steps is
    about to be done again."""
    steps: int
    """Updates of the whole run."""
    config: str
    """The resolved configuration, gin text without secrets; empty where there is
    none."""
    settings: Mapping[str, Setting]
    """The same, binding by binding: `train.batch_size` -> 512."""
    facts: Mapping[str, str]
    """What the run runs on: versions, devices, the commit of the code."""


class Reporter(abc.ABC):
    """Tells others how a run goes: a file, a dashboard.

    The chief's process calls it: `check` before the run; `open`, then `write` every
    `train.log_every` updates and `picture` now and then, then `close`; and `result`
    alone, once the encoder is measured. One that raises does not end the run: the user
    reads one line about it. A call delays the next update, so what waits for a network
    belongs in a thread.
    """

    required: bool = False
    """Whether the run ends where it fails. The run's own record is; nobody else is."""

    def check(self) -> None:
        """Refuses to report, before the run begins.

        Raises:
            UserError: for what the user can mend, such as a package to install.
        """
        return None

    def open(self, run: RunInfo) -> None:
        """Begins, or goes on after a run was stopped.

        Args:
            run: what is about to be done.
        """
        del run

    @abc.abstractmethod
    def write(
        self,
        step: int,
        metrics: Mapping[str, float],
        *,
        time: float,
        machine: Mapping[str, Setting],
    ) -> None:
        """Reports numbers.

        Args:
            step: updates done.
            metrics: name -> number, which may not be finite. They are the same each
                time that a run is repeated.
            time: seconds since 1970.
            machine: what is not: speed, memory and the device.
        """

    def picture(self, name: str, png: bytes, *, step: int) -> None:
        """Reports a picture.

        Args:
            name: what it shows, e.g. `views`.
            png: a file in PNG's format.
            step: updates done.
        """
        del name, png, step

    def result(self, run: RunInfo, result: Mapping[str, Any]) -> None:
        """Reports the accuracies of an encoder; alone, without `open` and `close`.

        Once more with the same numbers, where a run was killed right afterwards.

        Args:
            run: the run, `start` being the step that was measured.
            result: what `result.json` holds.
        """
        del run, result

    def close(self) -> None:
        """Ends: what is not written yet is."""
        return None
