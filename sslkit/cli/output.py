"""How commands print tables."""

from __future__ import annotations

import rich.console
from rich.measure import Measurement

_WIDTH = 100


def console() -> rich.console.Console:
    """Returns standard output, wide enough for tables if it is not a terminal."""
    found = rich.console.Console()
    return found if found.is_terminal else rich.console.Console(width=_WIDTH)


def show(table: rich.console.RenderableType) -> None:
    """Prints a table, never cut to a width if standard output is not a terminal."""
    found = console()
    if not found.is_terminal:
        wide = rich.console.Console(width=10_000)
        needed = Measurement.get(wide, wide.options, table).maximum
        found = rich.console.Console(width=max(_WIDTH, needed))
    found.print(table)
