"""Judging a plugin outside of pytest: each law, and how it came out."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator
from typing import Literal, NamedTuple

from sslkit.errors import UserError, describe
from sslkit.testing import devices
from sslkit.testing.law import Broken, Elsewhere, Law, Subject, Unjudged


class Verdict(NamedTuple):
    """How one law came out."""

    law: str
    """Its name, in words."""
    result: Literal["passed", "failed", "skipped", "not judged"]
    """`skipped` where this machine lacks what it needs; `not judged` where the plugin
    is in no state to be, such as one that cannot be built."""
    reason: str
    """One line; empty where it passed."""


def missing(subject: Subject) -> list[str]:
    """Lists the keywords that a plugin's constructor needs and is not given."""
    return [
        name
        for name, parameter in inspect.signature(subject.plugin).parameters.items()
        if parameter.default is parameter.empty and name not in subject.options
    ]


def judge(laws: Iterable[Law]) -> Iterator[Verdict]:
    """Judges by law after law, whatever each of them finds.

    Args:
        laws: those of one subject, as `laws_of` gives them.

    Yields:
        A verdict for each.
    """
    said: set[str] = set()
    for law in laws:
        devices.prepare()
        name = law.name.replace("_", " ")
        try:
            law.rule(law.subject)
        except Unjudged as broken:
            reason = _line(broken)
            again = reason in said
            said.add(reason)
            yield Verdict(name, "not judged", "as above" if again else reason)
        except (Broken, UserError) as broken:
            yield Verdict(name, "failed", _line(broken))
        except Elsewhere as elsewhere:
            yield Verdict(name, "skipped", _line(elsewhere))
        except Exception as error:
            # The plugin's own, in a law that did not foresee it.
            yield Verdict(name, "failed", _line(describe(error)))
        else:
            yield Verdict(name, "passed", "")


def _line(said: object) -> str:
    return " ".join(str(said).split())
