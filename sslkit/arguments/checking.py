"""Checking the arguments of a call against the function's annotations."""

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
    """Refuses an empty path (it would mean the current folder), and one with a secret.

    Args:
        what: the option or argument with which it was given.
        path: the given path.

    Raises:
        UserError: if it is empty, or has a password or a token in it: paths are printed
            and saved.
    """
    if holds_secret(path):
        raise UserError(
            f"{what} is {path!r}, with a password or a token in it. Leave it out: log "
            "in to the service instead, e.g. `gcloud auth application-default login`."
        )
    if not path.strip():
        raise UserError(
            f"{what} is {path!r}, perhaps because a shell variable is not set. Name a "
            "folder."
        )


def checked(function: _F) -> _F:
    """A decorator that refuses arguments which do not fit the annotations.

    It checks numbers and their ranges, choices, and sequences (a string is not one).
    Objects, defaults, and annotations that are not understood are not checked.

    Args:
        function: a constructor or function with annotations.

    Returns:
        The function, which raises `UserError` if an argument is wrong.
    """
    signature = inspect.signature(function)
    owner, _, method = function.__qualname__.rpartition(".")
    title = owner.rpartition(".")[2] if method == "__init__" else method

    @functools.cache
    def wants() -> dict[str, Wanted]:
        # At the first call: names in annotations may be defined later.
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
        except TypeError:  # The function itself raises Python's own error.
            return function(*args, **given)
        for name, want in wants().items():
            if name in arguments and not want.accepts(arguments[name]):
                value = arguments[name]
                raise UserError(
                    refusal(f"{title}.{name}", _short(value), want.words(value))
                )
        return function(*args, **given)

    # Keras reads the parameters in a way that ignores `__wrapped__`.
    call.__signature__ = signature  # type: ignore[attr-defined]
    return cast(_F, call)


def _evaluated(annotation: Any, space: dict[str, Any]) -> Any:
    if not isinstance(annotation, str):
        return annotation
    try:
        return eval(annotation, space)
    except Exception:  # For example a name that only type checkers import.
        return Any


def _short(value: Any) -> str:
    """Returns a value's repr in one line of limited length."""
    text = " ".join(repr(value).split())
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
