"""Names that have changed: an old name works for one minor version, with a warning.

A name is changed in one minor version, in which the old name still works. The old name
is removed in a later minor version, which the warning names. The same holds for the
package of a plugin, with its own version numbers.

- A keyword of a constructor or function: `renamed`. Recipes that bind the old one are
  read as if they bound the new one; so are the saved configurations of old runs.
- A plugin: an entry point in the group `sslkit.renamed`, which imports nothing:

      [project.entry-points."sslkit.renamed"]
      "objectives.old" = "objectives.new"

- A class or function of a module: `old_names`.
"""

from __future__ import annotations

import functools
import inspect
import warnings
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, cast

from sslkit.errors import UserError

__all__ = ["Renamed", "old_names", "renamed"]

_F = TypeVar("_F", bound=Callable[..., Any])


class Renamed(FutureWarning):
    """An old name was used. It is a FutureWarning, which Python shows by default."""


def warn(old: str, new: str, *, gone_in: str = "", place: str = "") -> None:
    """Warns that a name has changed; Python shows it once per line of code.

    Args:
        old: the name that was used.
        new: the one to use.
        gone_in: the version without the old name, e.g. `sslkit 0.3`; empty if it is not
            known.
        place: where it was used; empty for the caller's caller.
    """
    where = f" ({place})" if place else ""
    until = f"; the old name is removed in {gone_in}" if gone_in else ""
    warnings.warn(f"{old} is now {new}{where}{until}", Renamed, stacklevel=3)


def renamed(old: str, new: str, *, gone_in: str) -> Callable[[_F], _F]:
    """Lets a constructor or function be called by an old keyword; a decorator.

        @renamed("power", "exponent", gone_in="acme 2.0")
        @checked
        def __init__(self, *, exponent: float = 0.5): ...

    Write it above `checked`, with string literals: recipes are checked against the
    source, which is not imported.

    Args:
        old: the keyword as it was called.
        new: as it is called now.
        gone_in: the version that does not know the old one: the next minor one.

    Returns:
        The decorator. The decorated function raises `UserError` if both are given.

    Examples:
        >>> @renamed("power", "exponent", gone_in="acme 2.0")
        ... def scaled(*, exponent):
        ...     return 10**exponent
        >>> scaled(exponent=2)
        100
    """

    def decorate(function: _F) -> _F:
        signature = inspect.signature(function)
        if new not in signature.parameters or old in signature.parameters:
            raise ValueError(f"{function.__qualname__} must take {new}, and not {old}")
        owner, _, method = function.__qualname__.rpartition(".")
        title = owner.rpartition(".")[2] if method == "__init__" else method

        @functools.wraps(function)
        def call(*args: Any, **given: Any) -> Any:
            if old in given:
                if new in given:
                    raise UserError(
                        f"{title}.{old} is now {title}.{new}; give only the new one."
                    )
                warn(f"{title}.{old}", f"{title}.{new}", gone_in=gone_in)
                given[new] = given.pop(old)
            return function(*args, **given)

        # Keras reads the parameters in a way that ignores `__wrapped__`.
        call.__signature__ = signature  # type: ignore[attr-defined]
        return cast(_F, call)

    return decorate


def old_names(
    module: str, names: Mapping[str, tuple[str, Any]], *, gone_in: str
) -> Callable[[str], Any]:
    """Returns a `__getattr__` for a module whose names have changed.

        __getattr__ = old_names(
            __name__, {"info_nce_loss": ("acme.info_nce", info_nce)}, gone_in="acme 2.0"
        )

    Args:
        module: the module's name.
        names: old name -> the new name with its module, and the object.
        gone_in: the version without the old names: the next minor one.
    """

    def find(name: str) -> Any:
        if name not in names:
            raise AttributeError(f"module '{module}' has no attribute '{name}'")
        place, found = names[name]
        warn(f"{module}.{name}", place, gone_in=gone_in)
        return found

    return find
