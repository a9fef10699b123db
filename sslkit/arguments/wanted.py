"""The meaning of an annotation, and whether a value fits it.

Annotations are read once into a small model. An annotation that is not understood
accepts any value, so classes need not be written with this check in mind.
"""

from __future__ import annotations

import abc
import collections.abc
import dataclasses
import numbers
import types
import typing
from typing import Annotated, Any, ClassVar, Literal, Union, cast, get_args, get_origin

from sslkit.arguments.ranges import Range


class Kind:
    """Base of placeholders for classes whose objects a recipe makes by a reference."""

    noun: ClassVar[str]
    """The noun for an object, e.g. `an optimizer`."""
    example: ClassVar[str]
    """How a recipe refers to a class, e.g. `@optimizers.adam`."""


@dataclasses.dataclass(frozen=True)
class Promise:
    """What a reference in a recipe will be when it is built."""

    kind: type[Kind] | None
    """The kind of the object; None if that is not known."""
    made: bool
    """Whether it is the object itself, and not a class or function that makes it."""
    spelled: str
    """The reference without parentheses."""


class Wanted(abc.ABC):
    """A type of value that an argument may have."""

    @abc.abstractmethod
    def accepts(self, value: Any) -> bool:
        """Returns whether a value fits; it may contain a `Promise`.

        Args:
            value: the given value.
        """

    @abc.abstractmethod
    def words(self, value: Any = None) -> str:
        """Returns words for what is wanted that can follow `it must be`.

        Args:
            value: the value that was given instead; the words may refer to it.
        """


class Anything(Wanted):
    """Any value: an annotation that is missing, or is not understood."""

    def accepts(self, value: Any) -> bool:
        """Implements `Wanted.accepts`."""
        del value
        return True

    def words(self, value: Any = None) -> str:
        """Implements `Wanted.words`."""
        del value
        return "anything"


@dataclasses.dataclass(frozen=True)
class Number(Wanted):
    """A number; never True or False."""

    whole: bool
    range: Range | None = None

    def accepts(self, value: Any) -> bool:
        """Implements `Wanted.accepts`."""
        kind = numbers.Integral if self.whole else numbers.Real
        if isinstance(value, bool) or not isinstance(value, kind):
            return False
        return self.range is None or cast(float, value) in self.range

    def words(self, value: Any = None) -> str:
        """Implements `Wanted.words`."""
        del value
        return f"a {'whole ' if self.whole else ''}number{self.range or ''}"


@dataclasses.dataclass(frozen=True)
class Plain(Wanted):
    """An object of a built-in type."""

    type: type
    noun: str

    def accepts(self, value: Any) -> bool:
        """Implements `Wanted.accepts`."""
        return isinstance(value, self.type)

    def words(self, value: Any = None) -> str:
        """Implements `Wanted.words`."""
        del value
        return self.noun


@dataclasses.dataclass(frozen=True)
class Choice(Wanted):
    """One of some values."""

    values: tuple[Any, ...]

    def accepts(self, value: Any) -> bool:
        """Implements `Wanted.accepts`."""
        # 1 and True are equal, and not the same choice.
        return any(type(value) is type(one) and value == one for one in self.values)

    def words(self, value: Any = None) -> str:
        """Implements `Wanted.words`."""
        del value
        return _either([repr(value) for value in self.values])


@dataclasses.dataclass(frozen=True)
class Many(Wanted):
    """A sequence; a string is not one."""

    item: Wanted

    def accepts(self, value: Any) -> bool:
        """Implements `Wanted.accepts`."""
        if isinstance(value, list | tuple):
            return all(self.item.accepts(one) for one in value)
        # An iterator is not checked, because it can be used only once.
        return isinstance(value, collections.abc.Iterable) and not isinstance(
            value, str | bytes | collections.abc.Mapping
        )

    def words(self, value: Any = None) -> str:
        """Implements `Wanted.words`."""
        of = "" if isinstance(self.item, Anything) else f", each {self.item.words()}"
        alone = not isinstance(value, list | tuple | dict) and self.item.accepts(value)
        return f"a sequence{of}" + (f": [{value!r}] holds one" if alone else "")


@dataclasses.dataclass(frozen=True)
class Row(Wanted):
    """A sequence of a fixed length."""

    items: tuple[Wanted, ...]

    def accepts(self, value: Any) -> bool:
        """Implements `Wanted.accepts`."""
        return (
            isinstance(value, list | tuple)
            and len(value) == len(self.items)
            and all(w.accepts(one) for w, one in zip(self.items, value, strict=True))
        )

    def words(self, value: Any = None) -> str:
        """Implements `Wanted.words`."""
        del value
        return f"({', '.join(item.words() for item in self.items)})"


@dataclasses.dataclass(frozen=True)
class Table(Wanted):
    """A mapping."""

    key: Wanted
    item: Wanted

    def accepts(self, value: Any) -> bool:
        """Implements `Wanted.accepts`."""
        return isinstance(value, collections.abc.Mapping) and all(
            self.key.accepts(key) and self.item.accepts(item)
            for key, item in value.items()
        )

    def words(self, value: Any = None) -> str:
        """Implements `Wanted.words`."""
        del value
        return f"a mapping from {self.key.words()} to {self.item.words()}"


@dataclasses.dataclass(frozen=True)
class Made(Wanted):
    """An object of a kind."""

    kind: type[Kind]

    def accepts(self, value: Any) -> bool:
        """Implements `Wanted.accepts`."""
        return isinstance(value, Promise) and (
            value.kind is None or (value.made and value.kind is self.kind)
        )

    def words(self, value: Any = None) -> str:
        """Implements `Wanted.words`."""
        if isinstance(value, Promise) and value.kind is self.kind:
            return f"{self.kind.noun}, with parentheses: {value.spelled}()"
        return f"{self.kind.noun}, such as {self.kind.example}()"


@dataclasses.dataclass(frozen=True)
class Maker(Wanted):
    """A class or function that makes objects, of a kind if that is known."""

    kind: type[Kind] | None

    def accepts(self, value: Any) -> bool:
        """Implements `Wanted.accepts`."""
        if not isinstance(value, Promise):
            return self.kind is None and callable(value)
        if self.kind is None or value.kind is None:
            return True
        return not value.made and value.kind is self.kind

    def words(self, value: Any = None) -> str:
        """Implements `Wanted.words`."""
        if self.kind is None:
            return "a class or a function"
        noun = f"a class or function that makes {self.kind.noun}"
        if isinstance(value, Promise) and value.kind is self.kind:
            return f"{noun}, without parentheses: {value.spelled}"
        return f"{noun}, such as {self.kind.example}"


@dataclasses.dataclass(frozen=True)
class OneOf(Wanted):
    """One of several types of values."""

    options: tuple[Wanted, ...]

    def accepts(self, value: Any) -> bool:
        """Implements `Wanted.accepts`."""
        return any(option.accepts(value) for option in self.options)

    def words(self, value: Any = None) -> str:
        """Implements `Wanted.words`."""
        return _either([option.words(value) for option in self.options])


def _either(words: list[str]) -> str:
    *first, last = words
    if not first:
        return last
    # With a comma inside one of them, they are separated more clearly.
    comma = "," if any("," in word for word in words) else ""
    return f"{', '.join(first)}{comma} or {last}"


_PLAIN: dict[Any, Wanted] = {
    int: Number(whole=True),
    float: Number(whole=False),
    bool: Plain(bool, "True or False"),
    str: Plain(str, "a string"),
    None: Plain(type(None), "None"),
    type(None): Plain(type(None), "None"),
}
_SEQUENCES = (
    list,
    tuple,
    collections.abc.Sequence,
    collections.abc.MutableSequence,
    collections.abc.Iterable,
    collections.abc.Collection,
)
_MAPPINGS = (dict, collections.abc.Mapping, collections.abc.MutableMapping)


def wanted(hint: Any) -> Wanted:
    """Reads an annotation.

    Args:
        hint: the annotation, evaluated; a `Kind` stands for a class of that kind.

    Returns:
        Its meaning; `Anything` if it is not understood.
    """
    if isinstance(hint, type) and issubclass(hint, Kind):
        return Made(hint)
    if isinstance(hint, collections.abc.Hashable) and hint in _PLAIN:
        return _PLAIN[hint]
    if hasattr(hint, "__value__"):  # `type X = ...`, from Python 3.12 on
        return wanted(hint.__value__)
    origin, args = get_origin(hint) or hint, get_args(hint)
    if origin is Annotated:
        return _narrowed(wanted(args[0]), args[1:])
    if origin in (Union, types.UnionType):
        return OneOf(tuple(wanted(arg) for arg in args))
    if origin is Literal:
        return Choice(args)
    if origin is tuple and args and args[-1] is not ...:
        return Row(tuple(wanted(arg) for arg in args))
    if origin in _SEQUENCES or origin in (typing.List, typing.Tuple):  # noqa: UP006
        return Many(wanted(args[0]) if args else Anything())
    if origin in _MAPPINGS:
        return Table(*map(wanted, args)) if args else Table(Anything(), Anything())
    if origin in (collections.abc.Callable, type, typing.Callable):
        made = wanted(args[-1]) if args else None
        return Maker(made.kind if isinstance(made, Made) else None)
    return Anything()


def _narrowed(found: Wanted, extras: tuple[Any, ...]) -> Wanted:
    """Applies the range in an annotation's extras to its numbers."""
    ranges = [extra for extra in extras if isinstance(extra, Range)]
    if isinstance(found, Number) and ranges:
        return Number(found.whole, ranges[-1])
    if isinstance(found, OneOf):
        return OneOf(tuple(_narrowed(option, extras) for option in found.options))
    return found


def refusal(name: str, came: str, words: str) -> str:
    """Returns the error message for a value.

    Args:
        name: the argument.
        came: the value as it was written, and its place.
        words: what is wanted; see `Wanted.words`.
    """
    return f"{name} is {came}; it must be {words}."
