"""What a law is: a plain function of a subject, and how it says what is broken."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

from sslkit.testing import devices


class Broken(AssertionError):
    """A law that a plugin breaks.

    Args:
        found: what was seen, with the numbers.
        mend: what the author does about it.
    """

    def __init__(self, found: str, mend: str):
        """Joins the two sentences."""
        super().__init__(f"{found}. {mend}.")


class Unjudged(Broken):
    """A plugin that a law cannot judge, for a reason that is not the law's own.

    Such as one that cannot be built.
    """


class Elsewhere(Exception):
    """What a law needs is not on this machine, such as the devices of a runner."""


@dataclasses.dataclass(frozen=True)
class Subject:
    """A plugin's class and the options it is judged with."""

    plugin: type
    """A subclass of one of the kinds in `sslkit.api`."""
    options: dict[str, Any]
    """Constructor keywords."""

    @property
    def title(self) -> str:
        """The call that makes it, for messages."""
        given = ", ".join(f"{name}={value!r}" for name, value in self.options.items())
        return f"{self.plugin.__name__}({given})"

    def make(self) -> Any:
        """Makes one of it."""
        return self.plugin(**self.options)

    @functools.cached_property
    def runs(self) -> dict[Any, Any]:
        """What laws have computed already and others need again."""
        return {}


@dataclasses.dataclass(frozen=True)
class Law:
    """One law about one subject; calling it judges.

    Attributes:
        rule: the law, a function of a subject that raises `Broken`.
        subject: what is judged.
    """

    rule: Callable[[Any], None]
    subject: Subject

    @property
    def name(self) -> str:
        """The rule's name."""
        return self.rule.__name__

    def __call__(self) -> None:
        """Judges.

        Raises:
            AssertionError: saying which law is broken, what was found and how to mend
                it.
        """
        devices.prepare()
        try:
            self.rule(self.subject)
        except Elsewhere as elsewhere:
            import pytest

            pytest.skip(str(elsewhere))
        except Broken as broken:
            law = self.name.replace("_", " ")
            raise AssertionError(
                f"{self.subject.title} breaks the law '{law}': {broken}"
            ) from broken

    def __repr__(self) -> str:
        """Reads as a sentence in a test report."""
        return f"{self.name}({self.subject.title})"
