"""Writes docs/api.md: all that is public, with signatures, as the code has it.

    python docs/api.py

`tests/test_public.py` fails where the code and the file differ.
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import pathlib
import sys
import types
from collections.abc import Iterator
from typing import Any

MODULES = (
    "sslkit",
    "sslkit.api",
    "sslkit.deprecation",
    "sslkit.nn",
    "sslkit.objectives",
    "sslkit.views",
    "sslkit.randomness",
    "sslkit.replica",
    "sslkit.errors",
    "sslkit.testing",
)
"""What Python callers and plugins may import."""

FILE = pathlib.Path(__file__).with_suffix(".md")
_START = "<!-- written by docs/api.py -->\n"


def listing() -> str:
    """Returns the part of the file that is made from the code."""
    parts = [_START]
    for name in MODULES:
        lines = list(_module(importlib.import_module(name)))
        parts += [f"\n### {name}\n\n```python\n", *(f"{x}\n" for x in lines), "```\n"]
    parts += ["\n### What recipes bind\n\n```text\n", *_bound(), "```\n"]
    parts += ["\n### Commands\n\n```text\n", *_commands(), "```\n"]
    return "".join(parts)


def public_names(module: types.ModuleType) -> list[str]:
    """Returns the names of a module that are public, sorted."""
    return sorted(module.__all__)


def _module(module: types.ModuleType) -> Iterator[str]:
    for name in public_names(module):
        yield from _described(name, getattr(module, name))


def _described(name: str, value: Any) -> Iterator[str]:
    if inspect.isclass(value):
        bases = ", ".join(_type_name(base) for base in value.__bases__)
        yield f"class {name}({bases})".replace("(object)", "")
        constructor = value.__init__
        if hasattr(value, "_fields"):
            yield f"    {name}({', '.join(value._fields)})"
        elif getattr(constructor, "__module__", "").startswith("sslkit"):
            yield f"    {name}{_signature(value)}"
        for member in sorted(_members(value)):
            yield f"    {_member(member, inspect.getattr_static(value, member))}"
    elif inspect.isroutine(value):
        yield f"{name}{_signature(value)}"
    elif isinstance(value, types.ModuleType):
        yield f"{name}: module"
    else:
        yield f"{name} = {_value(value)}"


def _members(owner: type) -> set[str]:
    """Returns the public members that a class and its bases in sslkit define."""
    ours = [base for base in owner.__mro__ if base.__module__.startswith("sslkit")]
    return {
        name
        for base in ours
        for name in (*vars(base), *inspect.get_annotations(base))
        if not name.startswith("_") and name in dir(owner)
    }


def _member(name: str, found: Any) -> str:
    if isinstance(found, staticmethod | classmethod):
        return f".{name}{_signature(found.__func__)}"
    if inspect.isfunction(found):
        return f".{name}{_signature(found)}"
    return f".{name}"


def _signature(function: Any) -> str:
    """Writes a signature, with defaults that read alike in every process."""
    found = inspect.signature(function)
    parameters = []
    for one in found.parameters.values():
        if isinstance(one.annotation, str):
            one = one.replace(annotation=_Spelled(one.annotation))
        if one.default is not one.empty:
            one = one.replace(default=_Spelled(_value(one.default)))
        parameters.append(one)
    returns = found.return_annotation
    if isinstance(returns, str):
        returns = _Spelled(returns)
    return str(found.replace(parameters=parameters, return_annotation=returns))


class _Spelled:
    """What is shown as it was spelled."""

    def __init__(self, spelled: str):
        self._spelled = spelled

    def __repr__(self) -> str:
        return self._spelled


def _value(value: Any) -> str:
    if inspect.isclass(value) or inspect.isroutine(value):
        return value.__name__
    if isinstance(value, dict):
        return f"{{{', '.join(_value(key) for key in value)}}}"
    return repr(value).replace("typing.", "")


def _type_name(base: type) -> str:
    if base.__module__ == "builtins" or base.__module__.startswith("sslkit"):
        return base.__name__
    return f"{base.__module__.split('.')[0]}.{base.__name__}"


def _bound() -> Iterator[str]:
    """Yields the functions and the built-in plugins, each with its keywords."""
    from sslkit import plugins
    from sslkit.config.core_functions import CORE_FUNCTIONS
    from sslkit.config.signatures import signature
    from sslkit.config.types import kinds_of

    installed = plugins.installed()
    core = {p.title: p.value for p in installed if p.value.startswith("sslkit.")}
    for title, value in [*CORE_FUNCTIONS.items(), *core.items()]:
        known = signature(value, kinds_of(installed))
        assert known is not None, f"the source of {title} does not tell its keywords"
        yield f"{title}\n"
        for name, parameter in known.parameters.items():
            default = "" if parameter.default is None else f" = {parameter.default}"
            yield f"    .{name}{default}\n"


def _commands() -> Iterator[str]:
    """Yields the commands, each with its options."""
    from sslkit.cli.main import COMMANDS, module_of

    for name in COMMANDS:
        parser = argparse.ArgumentParser(add_help=False)
        module_of(name).add_arguments(parser)
        options = [
            " | ".join(action.option_strings) or str(action.metavar or action.dest)
            for action in parser._actions
        ]
        yield f"sslkit {name} {'  '.join(options)}".rstrip() + "\n"


def with_listing(text: str) -> str:
    """Returns the file's text with the listing as the code has it now."""
    before, there, _ = text.partition(_START)
    assert there, f"{FILE} lost the line {_START.strip()}"
    return before + listing()


if __name__ == "__main__":
    sys.stdout.write(f"writing {FILE}\n")
    FILE.write_text(with_listing(FILE.read_text(encoding="utf-8")), encoding="utf-8")
