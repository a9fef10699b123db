"""Checks whether the false negatives that a run found have the same class."""

from __future__ import annotations

from sslkit.auditing.audit import Audit, Settings, audit

__all__ = ["Audit", "Settings", "audit"]
