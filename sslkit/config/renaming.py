"""Replaces names that have changed by the new ones, in bindings."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterable, Sequence
from typing import Any

from sslkit import deprecation, plugins
from sslkit.config.core_functions import CORE_FUNCTIONS
from sslkit.config.reading import Binding, Reference
from sslkit.config.signatures import renamed_keywords


def current(
    written: Sequence[Binding],
    installed: Iterable[plugins.Plugin],
    *,
    warn: bool = True,
) -> list[Binding]:
    """Replaces the old names of plugins and of their keywords by the new names.

    Args:
        written: bindings, as read.
        installed: the installed plugins.
        warn: whether to warn about each old name.

    Returns:
        The bindings, in the same order.
    """
    values = {**CORE_FUNCTIONS, **{plugin.title: plugin.value for plugin in installed}}
    titles = {old: new for old, new in plugins.renamed().items() if old not in values}

    keywords = functools.cache(renamed_keywords)

    def say(old: str, new: str, place: str, gone_in: str = "") -> None:
        if warn:
            deprecation.warn(old, new, gone_in=gone_in, place=place)

    def renamed(value: Any, place: str) -> Any:
        match value:
            case Reference(name=old) if old in titles:
                say(old, titles[old], place)
                return dataclasses.replace(value, name=titles[old])
            case dict():
                return {
                    renamed(key, place): renamed(item, place)
                    for key, item in value.items()
                }
            case list() | tuple():
                return type(value)(renamed(item, place) for item in value)
        return value

    found = []
    for binding in written:
        target, parameter, value = binding.target, binding.parameter, binding.value
        if parameter and target in titles:
            say(target, titles[target], binding.place)
            target = titles[target]
        if parameter and target in values:
            known = keywords(values[target])
            if parameter in known:
                new, gone_in = known[parameter]
                say(f"{target}.{parameter}", f"{target}.{new}", binding.place, gone_in)
                parameter = new
        found.append(
            dataclasses.replace(
                binding,
                target=target,
                parameter=parameter,
                value=renamed(value, binding.place) if titles else value,
            )
        )
    return found
