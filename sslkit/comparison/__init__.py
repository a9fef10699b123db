"""Comparing runs: how their settings differ, and whether their results do."""

from __future__ import annotations

from sslkit.comparison.comparing import Comparison, compare
from sslkit.comparison.reading import runs_in

__all__ = ["Comparison", "compare", "runs_in"]
