"""Whether what a recipe binds is what the signature wants.

What is bound to an annotation of one of the plugins' classes must be a reference to a
plugin of that kind: with parentheses where an object is wanted, without where what
makes one is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from sslkit import plugins
from sslkit.arguments.wanted import Kind, Promise, refusal
from sslkit.config.reading import Binding, Macro, Reference
from sslkit.config.signatures import Parameter
from sslkit.errors import UserError

_DATA = "sslkit.data.dataset:Data"
_VOWELS = "aeiou"


class _Unknown(Exception):
    """A value holds what will only be known later."""


def kinds_of(installed: Iterable[plugins.Plugin]) -> dict[str, type[Kind]]:
    """Returns what stands for the classes that annotations may name.

    Args:
        installed: the plugins, of which each kind takes its example.

    Returns:
        `module:Class` -> its stand-in: of the plugins' base classes, and of the data.
    """
    first: dict[str, str] = {}
    for plugin in installed:
        first.setdefault(plugin.kind, plugin.title)
    found = {
        f"sslkit.api:{name}": _kind(name, f"@{first.get(kind, f'{kind}.NAME')}")
        for kind, name in plugins.KINDS.items()
    }
    return {**found, _DATA: _kind("Dataset", "@data")}


def _kind(name: str, example: str) -> type[Kind]:
    article = "an" if name[0].lower() in _VOWELS else "a"
    return type(
        name, (Kind,), {"noun": f"{article} {name.lower()}", "example": example}
    )


def check_value(
    binding: Binding,
    parameter: Parameter,
    kind_of: Callable[[Reference], type[Kind] | None],
) -> None:
    """Refuses a bound value that its parameter's annotation does not allow.

    Args:
        binding: what is bound, macros replaced.
        parameter: what it is bound to.
        kind_of: the kind of what a reference makes; None where that is not known.

    Raises:
        UserError: with the binding, its place, what came and what is wanted.
    """
    try:
        value = _promised(binding.value, kind_of)
    except _Unknown:
        return
    want = parameter.wanted
    if not want.accepts(value):
        came = f"{binding.value!r} ({binding.set_at})"
        raise UserError(refusal(binding.key, came, want.words(value)))


def _promised(value: Any, kind_of: Callable[[Reference], type[Kind] | None]) -> Any:
    """Puts a promise in the place of every reference in a value."""
    match value:
        case Reference():
            kind = kind_of(value)
            if kind is None:
                raise _Unknown
            return Promise(kind, value.evaluate, repr(value).removesuffix("()"))
        case Macro():
            raise _Unknown
        case Mapping():
            return {
                _promised(key, kind_of): _promised(item, kind_of)
                for key, item in value.items()
            }
        case list() | tuple():
            return type(value)(_promised(item, kind_of) for item in value)
    return value
