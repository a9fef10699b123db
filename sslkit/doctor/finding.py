"""One thing that was checked, and its state."""

from __future__ import annotations

from typing import Literal, NamedTuple

Level = Literal["ok", "note", "broken"]


class Finding(NamedTuple):
    """What one check found."""

    level: Level
    """`ok`; `note` if it works but may surprise; `broken` if it does not work."""
    about: str
    """What was checked, in a word or two."""
    said: str
    """Its state, in one line; if it is broken, with the next move."""
