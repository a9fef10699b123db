"""A report about runs: one page that needs no other files and no network."""

from __future__ import annotations

from sslkit.page.looking import Options
from sslkit.page.page import Page, report

__all__ = ["Options", "Page", "report"]
