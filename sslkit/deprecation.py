"""Names that have changed: the old one works for one minor version, and says so.

A name is first renamed, in one minor version, with the old name still working, and the
old one goes in a later minor version, the one that its warning names. The same in a
plugin's package, whose versions are its own.

- A keyword of a constructor or function: `renamed`. Recipes that bind the old one are
  read as if they bound the new one; so are the configurations that old runs keep.
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
    """An old name was used. A FutureWarning, which Python shows by default."""


def warn(old: str, new: str, *, gone_in: str = "", place: str = "") -> None:
    """Warns that a name has changed; Python shows each warning of a line once.

    Args:
        old: the name that was used.
        new: the one to use.
        gone_in: the version that does not know the old one, e.g. `sslkit 0.2`; empty
            where only its distribution knows.
        place: where it was used; empty for the caller's caller.
    """
    where = f" ({place})" if place else ""
    until = f"; the old name goes in {gone_in}" if gone_in else ""
    warnings.warn(f"{old} is now {new}{where}{until}", Renamed, stacklevel=3)


def renamed(old: str, new: str, *, gone_in: str) -> Callable[[_F], _F]:
    """Lets a constructor or function be called by an old keyword; a decorator.

        @renamed("power", "exponent", gone_in="acme 2.0")
        @checked
        def __init__(self, *, exponent: float = 0.5): ...

    To be written above `checked`, with plain texts: recipes are checked against the
    source, without importing it.

    Args:
        old: the keyword as it was called.
        new: as it is called now.
        gone_in: the version that does not know the old one: the next minor one.

    Returns:
        The decorator. What it makes raises `UserError` where both are given.
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
                        f"{title}.{old} is now {title}.{new}; give the new one alone."
                    )
                warn(f"{title}.{old}", f"{title}.{new}", gone_in=gone_in)
                given[new] = given.pop(old)
            return function(*args, **given)

        # Keras asks for the parameters in a way that does not look through wrappers.
        call.__signature__ = signature  # type: ignore[attr-defined]
        return cast(_F, call)

    return decorate


def old_names(
    module: str, names: Mapping[str, tuple[str, Any]], *, gone_in: str
) -> Callable[[str], Any]:
    """Returns a module's `__getattr__` for what it defined under other names.

        __getattr__ = old_names(
            __name__, {"info_nce_loss": ("acme.info_nce", info_nce)}, gone_in="acme 2.0"
        )

    Args:
        module: the module's name.
        names: old name -> where it is now, and what it is.
        gone_in: the version that does not know the old ones: the next minor one.
    """

    def find(name: str) -> Any:
        if name not in names:
            raise AttributeError(f"module '{module}' has no attribute '{name}'")
        place, found = names[name]
        warn(f"{module}.{name}", place, gone_in=gone_in)
        return found

    return find
