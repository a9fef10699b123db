"""What a law is: a function of a subject that raises `Broken` if it is broken."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

from sslkit.testing import devices


class Broken(AssertionError):
    """An error that says that a plugin breaks a law.

    Args:
        found: what was found, with the numbers.
        mend: how the author can repair it.
    """

    def __init__(self, found: str, mend: str):
        """Joins the two sentences."""
        super().__init__(f"{found}. {mend}.")


class NotChecked(Broken):
    """A law cannot be checked, for a reason that is not its own.

    For example, the plugin cannot be built.
    """


class Unavailable(Exception):
    """This machine lacks what a law needs, such as the devices of a runner."""


@dataclasses.dataclass(frozen=True)
class Subject:
    """A plugin's class and the options it is checked with."""

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
        """Makes an instance of the plugin."""
        return self.plugin(**self.options)

    @functools.cached_property
    def runs(self) -> dict[Any, Any]:
        """Results that one law has computed and other laws use again."""
        return {}


@dataclasses.dataclass(frozen=True)
class Law:
    """One law and one subject; call it to check the law.

    Attributes:
        rule: the law, a function of a subject that raises `Broken`.
        subject: the plugin that is checked.
    """

    rule: Callable[[Any], None]
    subject: Subject

    @property
    def name(self) -> str:
        """The rule's name."""
        return self.rule.__name__

    def __call__(self) -> None:
        """Checks the law.

        Raises:
            AssertionError: if it is broken; says which law, what was found and how to
                repair it.
        """
        devices.prepare()
        try:
            self.rule(self.subject)
        except Unavailable as error:
            import pytest

            pytest.skip(str(error))
        except Broken as broken:
            law = self.name.replace("_", " ")
            raise AssertionError(
                f"{self.subject.title} breaks the law '{law}': {broken}"
            ) from broken

    def __repr__(self) -> str:
        """Reads as a sentence in a test report."""
        return f"{self.name}({self.subject.title})"
