"""Laws about how a plugin's class is written: one of correctness, others of style."""

from __future__ import annotations

import inspect
import re

from sslkit.signatures import unspelled
from sslkit.testing.law import Broken, Subject

_SOURCE = re.compile(
    r"arXiv:\d{4}\.\d{4,5}|doi\.org/|https?://|et al\.,? \(?\d{4}|[A-Z]\w+,? \(?\d{4}"
)


def constructor_spells_its_parameters(subject: Subject) -> None:
    """A typo in a recipe was accepted by **kwargs and had no effect."""
    found = unspelled(subject.plugin)
    if found:
        raise Broken(
            f"its constructor takes {found}", "Spell every keyword, each with a type"
        )


def docstrings_explain_every_parameter(subject: Subject) -> None:
    """The unit of an option was not documented."""
    parameters = inspect.signature(subject.plugin).parameters
    constructor = inspect.getattr_static(subject.plugin, "__init__")
    documented = f"{subject.plugin.__doc__}{constructor.__doc__}"
    silent = [name for name in parameters if not re.search(rf"\b{name}: ", documented)]
    if silent:
        raise Broken(
            f"its docstrings do not explain {', '.join(silent)}",
            "Give each a line under Args, of the class or of the constructor",
        )


def docstring_cites_its_source(subject: Subject) -> None:
    """It was not documented which paper and equation a method implements."""
    text = inspect.getdoc(subject.plugin) or ""
    if not _SOURCE.search(text):
        raise Broken(
            "its docstring does not cite a source",
            "Cite the paper and the equation, e.g. 'Chen et al. 2020, eq. 1'",
        )
