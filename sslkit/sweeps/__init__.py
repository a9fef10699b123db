"""Runs of one recipe with several values of some settings, each in its own process."""

from __future__ import annotations

from sslkit.sweeps.planning import Planned, is_done, plan
from sslkit.sweeps.processes import Ended, Job, Outcome, run_jobs
from sslkit.sweeps.values import Over, read_overs

__all__ = [
    "Ended",
    "Job",
    "Outcome",
    "Over",
    "Planned",
    "is_done",
    "plan",
    "read_overs",
    "run_jobs",
]
