"""The contract of reporters, which receive the results of a run."""

from __future__ import annotations

import abc
from collections.abc import Mapping
from typing import Any, NamedTuple

Setting = bool | int | float | str


class RunInfo(NamedTuple):
    """Information about a run that a reporter receives first."""

    workdir: str
    """The run's folder, which may be in a bucket."""
    start: int
    """Updates that are done: 0 for a new run. Later steps that were reported before
    will be done again."""
    steps: int
    """Updates of the whole run."""
    config: str
    """The resolved configuration, gin text without secrets; empty if there is none."""
    settings: Mapping[str, Setting]
    """The same as separate bindings: `train.batch_size` -> 512."""
    facts: Mapping[str, str]
    """The environment of the run: versions, devices, the commit of the code."""


class Reporter(abc.ABC):
    """Passes the results of a run on, for example to a file or a dashboard.

    It is called in the chief's process: `check` before the run; `open`, then `write`
    every `train.log_every` updates and sometimes `picture`, then `close`; and
    separately `result`, when the encoder is evaluated. An error of a reporter does not
    end the run: it is printed as one line. A call delays the next update, so waiting
    for a network should be done in a thread.
    """

    required: bool = False
    """Whether the run ends if it fails, as for the metrics file; False for others."""

    def check(self) -> None:
        """Refuses to report, before the run begins.

        Raises:
            UserError: for a problem that the user can solve, such as a missing package.
        """
        return None

    def open(self, run: RunInfo) -> None:
        """Begins to report, or goes on after a run was stopped.

        Args:
            run: information about the run.
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
            metrics: name -> number, which need not be finite. They are the same each
                time that a run is repeated.
            time: seconds since 1970.
            machine: values that are not the same each time: speed, memory, device.
        """

    def picture(self, name: str, png: bytes, *, step: int) -> None:
        """Reports a picture.

        Args:
            name: what it shows, e.g. `views`.
            png: the contents of a PNG file.
            step: updates done.
        """
        del name, png, step

    def result(self, run: RunInfo, result: Mapping[str, Any]) -> None:
        """Reports the accuracies of an encoder; called without `open` and `close`.

        It is called again with the same numbers if a run was killed right afterwards.

        Args:
            run: the run, with the step of the encoder as `start`.
            result: the contents of `result.json`.
        """
        del run, result

    def close(self) -> None:
        """Ends reporting; writes what is not written yet."""
        return None
