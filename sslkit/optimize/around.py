"""The base of optimizers that wrap another optimizer."""

from __future__ import annotations

from collections.abc import Sequence

from sslkit.api import Optimizer


class Around(Optimizer):
    """Wraps another optimizer, and changes its inputs or its results.

    Attributes:
        of: the wrapped optimizer; the slots are its slots.
    """

    def __init__(self, of: Optimizer):
        """Keeps the wrapped optimizer."""
        self.of = of
        self.slots = tuple(of.slots)

    def check(self, paths: Sequence[str]) -> None:
        """Implements `Optimizer.check`."""
        self.of.check(paths)
