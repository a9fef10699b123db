"""Checks whether the images that a run took for false negatives are false negatives."""

from __future__ import annotations

from sslkit.auditing.audit import Audit, Settings, audit

__all__ = ["Audit", "Settings", "audit"]
