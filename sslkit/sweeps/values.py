"""The settings that a sweep varies, their values, and the names of its folders."""

from __future__ import annotations

import dataclasses
import hashlib
import re
from collections.abc import Sequence
from typing import Any

from sslkit.config.reading import read_override
from sslkit.errors import UserError

_RANGE = re.compile(r"\s*([^=\s]+)\s*=\s*(-?\d{1,18})\s*\.\.\s*(-?\d{1,18})\s*")
_HOW = (
    "Write NAME = FIRST..LAST for whole numbers, e.g. 'train.seed = 0..4', or "
    "NAME = [VALUE, VALUE], e.g. 'objectives.fnc.topk = [5, 10]'."
)
_MOST = 10_000
_LONGEST = 40  # characters of a value in the name of a folder
_NOT_PLAIN = re.compile(r"[^A-Za-z0-9.+-]+")


@dataclasses.dataclass(frozen=True)
class Over:
    """One setting and the values that it takes in turn."""

    key: str
    """The name of the setting, e.g. `train.seed`, or of a macro."""
    values: tuple[Any, ...]
    """Plain values, which may hold references and macros."""

    def setting(self, value: Any) -> str:
        """Returns the override that sets one of the values."""
        return f"{self.key} = {value!r}"

    def words(self) -> tuple[str, ...]:
        """Returns a text for each value, for the name of a folder; all are different.

        They hold only letters, digits, dots, signs and underscores. A text that is
        too long, or the same for two values, ends in a few characters of a hash.
        """
        plain = [_plain(value) for value in self.values]
        return tuple(
            word
            if len(word) <= _LONGEST and word and plain.count(word) == 1
            else f"{word[:_LONGEST]}-{_mark(value)}".lstrip("-")
            for word, value in zip(plain, self.values, strict=True)
        )


def read_overs(texts: Sequence[str]) -> list[Over]:
    """Reads the values of --over.

    Args:
        texts: each `NAME = FIRST..LAST` or `NAME = [VALUE, VALUE]`.

    Raises:
        UserError: if one is neither, if one has a value twice, or if two have the same
            name.
    """
    found = [_read(text) for text in texts]
    keys = [over.key for over in found]
    for key in keys:
        if keys.count(key) > 1:
            raise UserError(f"--over names {key} twice. Put all its values in one.")
    return found


def _read(text: str) -> Over:
    shown = f"--over '{' '.join(text.split())}'"
    if match := _RANGE.fullmatch(text):
        first, last = int(match[2]), int(match[3])
        if last < first:
            raise UserError(
                f"{shown} goes from {first} down to {last}. Give the smaller one first."
            )
        if last - first >= _MOST:
            raise UserError(
                f"{shown} has {last - first + 1:,} values; at most {_MOST:,} are "
                "allowed."
            )
        bindings = read_override(f"{match[1]} = 0", "--over")
        return Over(bindings[0].key, tuple(range(first, last + 1)))
    try:
        bindings = read_override(text, "--over")
    except UserError as error:
        # For a text that is not gin, the short message is clearer.
        if "is not gin" in str(error):
            raise UserError(f"{shown} cannot be read. {_HOW}") from error
        raise
    if len(bindings) > 1:
        raise UserError(f"{shown} has several bindings. {_HOW}")
    (binding,) = bindings
    if not isinstance(binding.value, list | tuple):
        raise UserError(
            f"{shown} has a single value; use --set for that. {_HOW}",
        )
    values = tuple(binding.value)
    if not values:
        raise UserError(f"{shown} has no value. {_HOW}")
    spelled = [repr(value) for value in values]
    for value in spelled:
        if spelled.count(value) > 1:
            raise UserError(f"{shown} has {value} twice. Give each value once.")
    return Over(binding.key, values)


def labels(keys: Sequence[str]) -> list[str]:
    """Returns a short name for each key: its parameter's, if no two are the same.

    Args:
        keys: such as `train.seed`, all different.
    """
    short = [key.rpartition(".")[2] for key in keys]
    return [
        name if short.count(name) == 1 else _NOT_PLAIN.sub("_", key)
        for name, key in zip(short, keys, strict=True)
    ]


def _plain(value: Any) -> str:
    text = value if isinstance(value, str) else repr(value)
    return _NOT_PLAIN.sub("_", text).strip("_")


def _mark(value: Any) -> str:
    return hashlib.sha256(repr(value).encode()).hexdigest()[:6]
