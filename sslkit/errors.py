"""Errors whose messages are for the user, and short descriptions of other errors."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence

from sslkit.secrets import hide

__all__ = [
    "Lost",
    "Rewound",
    "Stopped",
    "UserError",
    "describe",
    "did_you_mean",
    "first_line",
    "near_names",
]

_LONGEST_WORD = 1000
_LONGEST = 4000
"""The most characters of a message."""


def _cut(text: str, most: int) -> str:
    if len(text) <= most:
        return text
    return f"{text[: most - most // 4]} … {text[-(most // 4) :]}"


class UserError(Exception):
    """A problem that the user can solve: a typo, a missing file, an impossible size.

    The message says what came, what was wanted and the next move, if possible in one
    line. The command line prints it without a traceback and exits with 2.
    """

    def __str__(self) -> str:
        """Returns the message, without secrets and without AutoGraph's prefix.

        The middle of long words, such as a number of a thousand digits, and of long
        messages is left out.
        """
        text = hide(super().__str__())
        if text.startswith("in user code:"):
            text = " ".join(text.rpartition(f"{type(self).__name__}: ")[2].split())
        words = re.sub(rf"\S{{{_LONGEST_WORD},}}", lambda m: _cut(m[0], 200), text)
        return _cut(words, _LONGEST)


class Lost(UserError):
    """Something that a run needs has become unavailable, not by a mistake of the user.

    The same command goes on when it is available again, so the command line exits with
    the code that tells a scheduler to start it again.
    """


class Stopped(KeyboardInterrupt):
    """A signal has stopped a run; the same command resumes it.

    The message says which signal came and what was saved, in one line.
    """


class Rewound(Exception):
    """A run goes back to its last checkpoint, and on from there; it says why."""


def first_line(error: BaseException) -> str:
    """Returns the first line of an exception's message, without a full stop.

    Returns:
        For an error of the system, its text without number and path; for an exception
        without a message, the name of its type.
    """
    text = getattr(error, "strerror", None) or getattr(error, "message", None)
    # Keras writes the message in bold, after a line of its own.
    plain = re.sub(r"\x1b\[\d*m", "", str(text or error)).strip()
    # TensorFlow adds the function in which the error occurred.
    plain = re.sub(r"\{\{function_node [^}]*\}\} ?| \[Op:\w+\]", "", plain)
    lines = [line.strip() for line in plain.splitlines() if line.strip()]
    while len(lines) > 1 and lines[0].startswith("Exception encountered when calling"):
        del lines[0]
    return lines[0].rstrip(".") if lines else type(error).__name__


def describe(error: BaseException) -> str:
    """Returns an exception's type and the most useful line of its message."""
    name = type(error).__name__
    said = first_line(error)
    if said == "in user code:":
        # TensorFlow puts a traceback before the message.
        last = str(error).strip().splitlines()[-1]
        said = last.strip().removeprefix(f"{name}: ").rstrip(".")
    return name if said == name else f"{name}: {said}"


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """Returns `Did you mean 'x'? ` for the nearest of some names, or nothing.

    Examples:
        >>> did_you_mean("tempersture", ["temperature", "threshold"])
        "Did you mean 'temperature'? "
    """
    near = difflib.get_close_matches(name, list(names), n=1)
    return f"Did you mean '{near[0]}'? " if near else ""


def near_names(pattern: str, names: Sequence[str], *, count: int = 3) -> str:
    """Returns names that are similar to a regular expression that matches none.

    Args:
        pattern: the expression.
        names: paths such as `encoder/stem/kernel`.
        count: how many names at most.

    Returns:
        The names with a part that is similar to a word of the pattern, or the first
        names; joined by commas.

    Examples:
        >>> names = ["encoder/stem/kernel", "encoder/stem/bias", "projection/kernel"]
        >>> near_names("encodr/.*", names)
        'encoder/stem/kernel, encoder/stem/bias'
    """
    parts = {part for name in names for part in name.split("/")}
    near = {
        part
        for word in re.findall(r"\w+", pattern)
        for part in difflib.get_close_matches(word, parts, n=2)
    }
    found = [name for name in names if near & set(name.split("/"))]
    return ", ".join((found or list(names))[:count])
