"""What runs have learned, as one page that needs no other file and no network."""

from __future__ import annotations

from sslkit.page.looking import Looking
from sslkit.page.page import Page, report

__all__ = ["Looking", "Page", "report"]
