"""What optimizers around another share."""

from __future__ import annotations

from collections.abc import Sequence

from sslkit.api import Optimizer


class Around(Optimizer):
    """Changes what another optimizer is given, or what it returns.

    Attributes:
        of: the other; its slots are those of the whole.
    """

    def __init__(self, of: Optimizer):
        """Keeps the other."""
        self.of = of
        self.slots = tuple(of.slots)

    def check(self, paths: Sequence[str]) -> None:
        """Implements `Optimizer.check`."""
        self.of.check(paths)
