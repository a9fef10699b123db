"""Checking the laws of a plugin without pytest."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator
from typing import Literal, NamedTuple

from sslkit.errors import UserError, describe
from sslkit.testing import devices
from sslkit.testing.law import Broken, Law, NotChecked, Subject, Unavailable


class Result(NamedTuple):
    """The result of one law."""

    law: str
    """Its name, with spaces."""
    result: Literal["passed", "failed", "skipped", "not checked"]
    """`skipped` if this machine lacks what the law needs; `not checked` if the plugin
    does not get far enough, for example if it cannot be built."""
    reason: str
    """One line; empty if it passed."""


def missing(subject: Subject) -> list[str]:
    """Lists the keywords that a plugin's constructor needs and is not given."""
    return [
        name
        for name, parameter in inspect.signature(subject.plugin).parameters.items()
        if parameter.default is parameter.empty and name not in subject.options
    ]


def check_laws(laws: Iterable[Law]) -> Iterator[Result]:
    """Checks all laws, even if some of them are broken.

    Args:
        laws: the laws of one subject, from `laws_of`.

    Yields:
        The result of each law.
    """
    said: set[str] = set()
    for law in laws:
        devices.prepare()
        name = law.name.replace("_", " ")
        try:
            law.rule(law.subject)
        except NotChecked as broken:
            reason = _line(broken)
            again = reason in said
            said.add(reason)
            yield Result(name, "not checked", "as above" if again else reason)
        except (Broken, UserError) as broken:
            yield Result(name, "failed", _line(broken))
        except Unavailable as error:
            yield Result(name, "skipped", _line(error))
        except Exception as error:
            # An error in the plugin that the law does not expect.
            yield Result(name, "failed", _line(describe(error)))
        else:
            yield Result(name, "passed", "")


def _line(said: object) -> str:
    return " ".join(str(said).split())
