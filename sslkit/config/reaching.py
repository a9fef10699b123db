"""Replacing macros in bindings, and finding the bindings that a run uses."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from sslkit.config.reading import DEEPEST, Binding, Macro, Reference
from sslkit.errors import UserError, did_you_mean

REQUIRED = ("gin.REQUIRED", "REQUIRED")
"""The macros that leave a value to the user."""

_MOST = 100_000
"""How many values the macros in one binding may expand to. The number can grow fast: it
doubles with each macro that holds another one twice."""


def references(value: Any) -> Iterator[Reference]:
    """Yields the references in a value, at any depth."""
    return (leaf for leaf in leaves(value) if isinstance(leaf, Reference))


def leaves(value: Any) -> Iterator[Any]:
    """Yields all items in a value that are not mappings or sequences, at any depth."""
    if isinstance(value, dict):
        for item in value.items():
            yield from leaves(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from leaves(item)
    else:
        yield value


def expand(binding: Binding, macros: Mapping[str, Binding]) -> Binding:
    """Replaces the macros in a binding's value by their values."""

    left = _MOST

    def replace(value: Any, inside: tuple[str, ...], deep: int) -> Any:
        nonlocal left
        left -= 1
        if left < 0 or deep > DEEPEST:
            raise UserError(
                f"the macros in {binding.key} expand to more than {_MOST:,} values, or "
                f"to values nested more than {DEEPEST} deep ({binding.place}). Write "
                "the value without macros."
            )
        if isinstance(value, dict):
            return mapping(
                (replace(k, inside, deep + 1), replace(v, inside, deep + 1))
                for k, v in value.items()
            )
        if isinstance(value, list | tuple):
            return type(value)(replace(item, inside, deep + 1) for item in value)
        if not isinstance(value, Macro) or value.name in REQUIRED:
            return value
        if value.name in inside:
            raise UserError(
                f"the macro '{value.name}' uses itself ({binding.place}). Give it a "
                "value."
            )
        if value.name not in macros:
            near = did_you_mean(value.name, macros)
            raise UserError(
                f"there is no macro '{value.name}' ({binding.place}). {near}"
                f"Macros: {', '.join(sorted(macros)) or 'none'}."
            )
        return replace(macros[value.name].value, (*inside, value.name), deep + 1)

    def mapping(items: Iterable[tuple[Any, Any]]) -> dict[Any, Any]:
        try:
            return dict(items)
        except TypeError as error:
            raise UserError(
                f"{binding.key} has a key that is a list or a mapping "
                f"({binding.place}). Use a text or a number."
            ) from error

    expanded = replace(binding.value, (), 0)
    place, value = "", binding.value
    while isinstance(value, Macro) and value.name in macros:
        place, value = macros[value.name].place, macros[value.name].value
    return dataclasses.replace(binding, value=expanded, value_place=place)


def macro_names(bindings: Iterable[Binding], macros: Mapping[str, Binding]) -> set[str]:
    """Returns the macros that bindings use, directly or through other macros."""
    found: set[str] = set()
    queue = [binding.value for binding in bindings]
    while queue:
        for leaf in leaves(queue.pop()):
            if isinstance(leaf, Macro) and leaf.name not in found | {*REQUIRED}:
                found.add(leaf.name)
                queue.append(macros[leaf.name].value)
    return found


def reach(
    bindings: Sequence[Binding], roots: Iterable[str]
) -> tuple[list[Binding], list[Binding], set[str]]:
    """Separates the bindings in use from the others, by following references.

    Args:
        bindings: bindings without macros.
        roots: the targets that are always in use.

    Returns:
        The bindings in use, the other bindings, and the targets in use.
    """
    targets = set(roots)
    scopes: set[str] = set()
    used: list[Binding] = []
    idle = list(bindings)

    def reached(binding: Binding) -> bool:
        parts = binding.scope.split("/") if binding.scope else []
        return binding.target in targets and scopes.issuperset(parts)

    while found := [binding for binding in idle if reached(binding)]:
        idle = [binding for binding in idle if not reached(binding)]
        used += found
        for binding in found:
            for reference in references(binding.value):
                targets.add(reference.name)
                scopes.update(reference.scope.split("/"))
    return used, idle, targets
