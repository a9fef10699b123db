"""Where commands print what people read."""

from __future__ import annotations

import rich.console

_WIDTH = 100


def console() -> rich.console.Console:
    """Returns standard output, wide enough for tables where it is no terminal."""
    found = rich.console.Console()
    return found if found.is_terminal else rich.console.Console(width=_WIDTH)
