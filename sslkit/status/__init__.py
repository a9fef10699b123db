"""The state and progress of runs, read from their folders without TensorFlow."""

from __future__ import annotations

from sslkit.status.reading import RunStatus, find_runs, read_lines, read_status

__all__ = ["RunStatus", "find_runs", "read_lines", "read_status"]
