"""Checks that the values in a recipe are those that the annotations allow.

If an annotation names the base class of a kind of plugin, the value must be a reference
to a plugin of that kind: with parentheses if an object is wanted, without if a factory
is wanted, which makes objects.
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
    """A value holds a reference or macro whose type is not known yet."""


def kinds_of(installed: Iterable[plugins.Plugin]) -> dict[str, type[Kind]]:
    """Returns the classes that are used in place of those that annotations name.

    Args:
        installed: the plugins; the first of each kind is the example in messages.

    Returns:
        `module:Class` -> a `Kind`, for the base class of each kind of plugin and for
        the class of the data.
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
    """Refuses a value that its parameter's annotation does not allow.

    Args:
        binding: the binding, with macros replaced.
        parameter: the parameter that it sets.
        kind_of: returns the kind of object that a reference makes; None if not known.

    Raises:
        UserError: if the value is not allowed; names the key, the place, the value and
            what is wanted.
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
    """Replaces every reference in a value by a `Promise`."""
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
