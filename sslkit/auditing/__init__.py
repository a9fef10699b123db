"""Are the false negatives that a run found false negatives?"""

from __future__ import annotations

from sslkit.auditing.audit import Audit, Settings, audit

__all__ = ["Audit", "Settings", "audit"]
