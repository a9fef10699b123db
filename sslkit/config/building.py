"""Builds the objects that references in a recipe stand for.

References mean what they mean in gin. `@kind.name()` makes a new object each time the
function that it is an argument of is called. `@kind.name` is a factory, which makes an
object when it is called. A reference with a scope also uses the bindings of that scope,
for its object and for all objects that are built for it.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from sslkit.config.reading import Binding, Reference
from sslkit.errors import UserError
from sslkit.plugins import describe


class Builder:
    """Builds objects from the bindings of one configuration, without other state.

    Args:
        bindings: resolved bindings: one per key, without macros.
        targets: name -> class or function, for all that they configure or refer to.
    """

    def __init__(
        self, bindings: Iterable[Binding], targets: Mapping[str, Callable[..., Any]]
    ):
        """Keeps the bindings; see the class."""
        self._targets = targets
        self._bound: dict[tuple[str, str], dict[str, Binding]] = {}
        for binding in bindings:
            place = self._bound.setdefault((binding.scope, binding.target), {})
            place[binding.parameter] = binding

    def core_function(self, name: str) -> Callable[..., Any]:
        """Returns a function of the core with the bound arguments as defaults.

        Args:
            name: e.g. `train`. The function takes keywords, which replace the bound
                arguments.
        """
        function = self._targets[name]

        @functools.wraps(function)
        def call(**given: Any) -> Any:
            bound = self._bindings(name, "")
            _check_bound(name, function, {*bound, *given})
            return function(**self._arguments(bound, given, ""), **given)

        return call

    def options(self, name: str) -> dict[str, Any]:
        """Returns keyword -> value, for all keywords of a target that are bound."""
        return self._arguments(self._bindings(name, ""), (), "")

    def _bindings(self, target: str, scope: str) -> dict[str, Binding]:
        """Returns the bindings of a target in a scope; inner scopes replace outer."""
        parts = scope.split("/") if scope else []
        found: dict[str, Binding] = {}
        for depth in range(len(parts) + 1):
            found |= self._bound.get(("/".join(parts[:depth]), target), {})
        return found

    def _arguments(
        self, bound: Mapping[str, Binding], given: Iterable[str], scope: str
    ) -> dict[str, Any]:
        """Builds the bound values, except for those that the caller gives."""
        return {
            name: self._value(binding.value, binding, scope)
            for name, binding in bound.items()
            if name not in given
        }

    def _value(self, value: Any, binding: Binding, scope: str) -> Any:
        match value:
            case Reference():
                make = self._maker(value, binding, value.scope or scope)
                return make() if value.evaluate else make
            case dict():
                return {
                    self._value(key, binding, scope): self._value(item, binding, scope)
                    for key, item in value.items()
                }
            case list() | tuple():
                return type(value)(self._value(item, binding, scope) for item in value)
        return value

    def _maker(
        self, reference: Reference, binding: Binding, scope: str
    ) -> Callable[..., Any]:
        target = self._targets[reference.name]

        @functools.wraps(target, updated=())
        def make(*args: Any, **given: Any) -> Any:
            taken = {*inspect.signature(target).bind_partial(*args).arguments, *given}
            bound = self._bindings(reference.name, scope)
            arguments = self._arguments(bound, taken, scope)
            try:
                return target(*args, **arguments, **given)
            except UserError:
                raise
            except Exception as error:
                raise UserError(
                    f"{reference!r} cannot be built for {binding.key} "
                    f"({binding.set_at}): {describe(error)}."
                ) from error

        return make


def _check_bound(name: str, function: Callable[..., Any], bound: set[str]) -> None:
    missing = [
        key
        for key, parameter in inspect.signature(function).parameters.items()
        if parameter.default is parameter.empty and key not in bound
    ]
    if missing:
        raise UserError(
            f"{', '.join(f'{name}.{key}' for key in missing)} must be set. Use a "
            f"recipe that sets it, or add --set '{name}.{missing[0]} = …'."
        )
