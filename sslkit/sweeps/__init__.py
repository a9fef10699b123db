"""Runs of one recipe over the values of some bindings, as processes of one machine."""

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
