"""What a sweep goes over: a binding and its values, and how folders are named."""

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
_STRANGE = re.compile(r"[^A-Za-z0-9.+-]+")


@dataclasses.dataclass(frozen=True)
class Over:
    """One binding and the values that it takes, one after another."""

    key: str
    """What is bound, e.g. `train.seed`, or a macro's name."""
    values: tuple[Any, ...]
    """Plain values, in which there may be references and macros."""

    def setting(self, value: Any) -> str:
        """Returns the override that binds one of the values."""
        return f"{self.key} = {value!r}"

    def words(self) -> tuple[str, ...]:
        """Returns each value as it stands in the name of a folder; no two alike.

        Letters, digits, dots, signs and underscores alone; what is long or would look
        like another has a few letters of its own behind it.
        """
        plain = [_plain(value) for value in self.values]
        return tuple(
            word
            if len(word) <= _LONGEST and word and plain.count(word) == 1
            else f"{word[:_LONGEST]}-{_mark(value)}".lstrip("-")
            for word, value in zip(plain, self.values, strict=True)
        )


def read_overs(texts: Sequence[str]) -> list[Over]:
    """Reads what --over says.

    Args:
        texts: each `NAME = FIRST..LAST` or `NAME = [VALUE, VALUE]`.

    Raises:
        UserError: if one is neither, has a value twice, or is of a name that another
            is of, too.
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
                f"{shown} goes from {first} down to {last}. Name the smaller first."
            )
        if last - first >= _MOST:
            raise UserError(
                f"{shown} has {last - first + 1:,} values; {_MOST:,} are the most."
            )
        bindings = read_override(f"{match[1]} = 0", "--over")
        return Over(bindings[0].key, tuple(range(first, last + 1)))
    try:
        bindings = read_override(text, "--over")
    except UserError as error:
        # What is no gin at all is shorter said.
        if "is not gin" in str(error):
            raise UserError(f"{shown} cannot be read. {_HOW}") from error
        raise
    if len(bindings) > 1:
        raise UserError(f"{shown} has several bindings. {_HOW}")
    (binding,) = bindings
    if not isinstance(binding.value, list | tuple):
        raise UserError(
            f"{shown} has one value, which is what --set is for. {_HOW}",
        )
    values = tuple(binding.value)
    if not values:
        raise UserError(f"{shown} has no value. {_HOW}")
    spelled = [repr(value) for value in values]
    for value in spelled:
        if spelled.count(value) > 1:
            raise UserError(f"{shown} has {value} twice. Name each value once.")
    return Over(binding.key, values)


def labels(keys: Sequence[str]) -> list[str]:
    """Returns what names each key in a folder's name: the parameter if that is enough.

    Args:
        keys: such as `train.seed`; no two alike.
    """
    short = [key.rpartition(".")[2] for key in keys]
    return [
        name if short.count(name) == 1 else _STRANGE.sub("_", key)
        for name, key in zip(short, keys, strict=True)
    ]


def _plain(value: Any) -> str:
    text = value if isinstance(value, str) else repr(value)
    return _STRANGE.sub("_", text).strip("_")


def _mark(value: Any) -> str:
    return hashlib.sha256(repr(value).encode()).hexdigest()[:6]
