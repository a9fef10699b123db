"""The errors that are meant for the person at the terminal, and words for others."""

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
"""Characters of a message: more is not read, and fills a terminal."""


def _cut(text: str, most: int) -> str:
    if len(text) <= most:
        return text
    return f"{text[: most - most // 4]} … {text[-(most // 4) :]}"


class UserError(Exception):
    """Something the user can mend: a typo, a missing file, an impossible size.

    The message says what came, what was wanted and the next move, in one line
    where it can. The command line prints it without a traceback and exits with 2.
    """

    def __str__(self) -> str:
        """Returns the message, without secrets and what AutoGraph puts before it.

        What it quotes may be of any length, such as a number of a thousand digits: of
        a long word, and of a long message, the middle is left out.
        """
        text = hide(super().__str__())
        if text.startswith("in user code:"):
            text = " ".join(text.rpartition(f"{type(self).__name__}: ")[2].split())
        words = re.sub(rf"\S{{{_LONGEST_WORD},}}", lambda m: _cut(m[0], 200), text)
        return _cut(words, _LONGEST)


class Lost(UserError):
    """Something that a run needs went away by no fault of the user.

    The same command goes on once it is back, so the command line exits with the code
    that tells a scheduler to start it again.
    """


class Stopped(KeyboardInterrupt):
    """A signal has stopped a run; the same command goes on with it.

    Says what came and what was saved, in one line.
    """


class Rewound(Exception):
    """A run goes back to its last checkpoint, and on from there; says why."""


def first_line(error: BaseException) -> str:
    """Returns the first line of what an exception says, without a full stop.

    Returns:
        The words of the system for an error of it, which leave out number and path;
        the type's name where an exception says nothing.
    """
    text = getattr(error, "strerror", None) or getattr(error, "message", None)
    # Keras writes in bold, below words of its own.
    plain = re.sub(r"\x1b\[\d*m", "", str(text or error)).strip()
    # TensorFlow says which of its functions it was in.
    plain = re.sub(r"\{\{function_node [^}]*\}\} ?| \[Op:\w+\]", "", plain)
    lines = [line.strip() for line in plain.splitlines() if line.strip()]
    while len(lines) > 1 and lines[0].startswith("Exception encountered when calling"):
        del lines[0]
    return lines[0].rstrip(".") if lines else type(error).__name__


def describe(error: BaseException) -> str:
    """Returns an exception's type and the line of its message that says most."""
    name = type(error).__name__
    said = first_line(error)
    if said == "in user code:":
        # TensorFlow puts a traceback before the message.
        last = str(error).strip().splitlines()[-1]
        said = last.strip().removeprefix(f"{name}: ").rstrip(".")
    return name if said == name else f"{name}: {said}"


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """Returns `Did you mean 'x'? ` for the nearest of some names, or nothing."""
    near = difflib.get_close_matches(name, list(names), n=1)
    return f"Did you mean '{near[0]}'? " if near else ""


def near_names(pattern: str, names: Sequence[str], *, count: int = 3) -> str:
    """Returns some names that a regular expression without a match may have meant.

    Args:
        pattern: the expression.
        names: paths such as `encoder/stem/kernel`.
        count: how many names at most.

    Returns:
        Those with a part near one of the pattern's words, or the first ones; joined by
        commas.
    """
    parts = {part for name in names for part in name.split("/")}
    near = {
        part
        for word in re.findall(r"\w+", pattern)
        for part in difflib.get_close_matches(word, parts, n=2)
    }
    found = [name for name in names if near & set(name.split("/"))]
    return ", ".join((found or list(names))[:count])
