"""The reporter that writes `metrics.jsonl` and `facts.json`."""

from __future__ import annotations

from collections.abc import Mapping

from sslkit.api import Reporter, RunInfo
from sslkit.metrics_log import MetricsLog
from sslkit.reporter import Setting
from sslkit.workdir import Workdir


class MetricsFile(Reporter):
    """Appends a line to `metrics.jsonl` in the run's folder; see `MetricsLog`.

    `facts.json` has the software and devices, each time that the run begins or goes on.
    Every run has this reporter, whatever other reporters it has.
    """

    required = True

    def open(self, run: RunInfo) -> None:
        """Implements `Reporter.open`."""
        self._log = MetricsLog(run.workdir, run.start)
        if run.facts:
            Workdir(run.workdir).write_facts(run.facts)

    def write(
        self,
        step: int,
        metrics: Mapping[str, float],
        *,
        time: float,
        machine: Mapping[str, Setting],
    ) -> None:
        """Implements `Reporter.write`."""
        self._log.write(step, metrics, machine=machine, time=time)

    def close(self) -> None:
        """Implements `Reporter.close`."""
        self._log.close()
