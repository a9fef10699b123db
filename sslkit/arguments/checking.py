"""Holds the callers of a constructor or function to its annotations."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, TypeVar, cast

from sslkit.arguments.wanted import Wanted, refusal, wanted
from sslkit.errors import UserError
from sslkit.secrets import holds_secret

_F = TypeVar("_F", bound=Callable[..., Any])
_LONGEST = 60


def check_folder(what: str, path: str) -> None:
    """Refuses an empty path, which would mean the current folder, and a secret in one.

    Args:
        what: the option or argument that it came by.
        path: what came.

    Raises:
        UserError: if it is empty, or holds a password or a token: it is printed, and
            kept.
    """
    if holds_secret(path):
        raise UserError(
            f"{what} is {path!r}, with a password or a token in it. Leave it out: log "
            "in to the service instead, e.g. `gcloud auth application-default login`."
        )
    if not path.strip():
        raise UserError(
            f"{what} is {path!r}, perhaps from a variable that is not set. Name a "
            "folder."
        )


def checked(function: _F) -> _F:
    """Refuses arguments that are not what the annotations say; a decorator.

    Numbers, their ranges, choices, and sequences (a bare string is none) are looked at.
    Objects are not, nor is an annotation that is not understood, nor a default.

    Args:
        function: a constructor or function with annotations.

    Returns:
        The function, which raises `UserError` where an argument is wrong.
    """
    signature = inspect.signature(function)
    owner, _, method = function.__qualname__.rpartition(".")
    title = owner.rpartition(".")[2] if method == "__init__" else method

    @functools.cache
    def wants() -> dict[str, Wanted]:
        # At the first call: what annotations name may be defined later.
        space = getattr(function, "__globals__", {})
        return {
            name: wanted(_evaluated(parameter.annotation, space))
            for name, parameter in signature.parameters.items()
            if parameter.kind not in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL)
        }

    @functools.wraps(function)
    def call(*args: Any, **given: Any) -> Any:
        try:
            arguments = signature.bind(*args, **given).arguments
        except TypeError:  # Python's own words, of the function itself.
            return function(*args, **given)
        for name, want in wants().items():
            if name in arguments and not want.accepts(arguments[name]):
                value = arguments[name]
                raise UserError(
                    refusal(f"{title}.{name}", _short(value), want.words(value))
                )
        return function(*args, **given)

    # Keras asks for the parameters in a way that does not look through wrappers.
    call.__signature__ = signature  # type: ignore[attr-defined]
    return cast(_F, call)


def _evaluated(annotation: Any, space: dict[str, Any]) -> Any:
    if not isinstance(annotation, str):
        return annotation
    try:
        return eval(annotation, space)
    except Exception:  # Such as a name that only type checkers import.
        return Any


def _short(value: Any) -> str:
    """Returns a value's repr in one line of bearable length."""
    text = " ".join(repr(value).split())
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
