"""One thing that was looked at, and how it is."""

from __future__ import annotations

from typing import Literal, NamedTuple

Level = Literal["ok", "note", "broken"]


class Finding(NamedTuple):
    """What one check found."""

    level: Level
    """`note` is what works and may surprise; `broken` is what does not work."""
    about: str
    """What was looked at, in a word or two."""
    said: str
    """How it is, in a line; where it is broken, with the next move."""
