"""Reads recipes, their includes and overrides into bindings; imports no plugin.

The parser is gin's own. gin would look up every name among registered classes; the
delegate here builds plain values instead.
"""

from __future__ import annotations

import dataclasses
import io
import os
import pathlib
import tokenize
from collections.abc import Iterator, Sequence
from typing import Any

from gin import config_parser

from sslkit.config.recipes import find_recipe
from sslkit.errors import UserError


@dataclasses.dataclass(frozen=True)
class Reference:
    """`@scope/kind.name` or, evaluated, `@scope/kind.name()`."""

    scope: str
    name: str
    evaluate: bool

    def __repr__(self) -> str:
        """Returns it as gin writes it."""
        scope = f"{self.scope}/" if self.scope else ""
        return f"@{scope}{self.name}{'()' if self.evaluate else ''}"


@dataclasses.dataclass(frozen=True)
class Macro:
    """`%name`."""

    name: str

    def __repr__(self) -> str:
        """Returns it as gin writes it."""
        return f"%{self.name}"


@dataclasses.dataclass(frozen=True)
class Binding:
    """One `scope/target.parameter = value`, or a macro's `name = value`."""

    scope: str
    target: str
    """What is configured: `train`, `objectives.fnc`; for a macro its name."""
    parameter: str
    """Empty for a macro."""
    value: Any
    """A Python literal that may hold `Reference` and `Macro`."""
    place: str
    """Where it was written: `gin/x.gin:12` or `--set 'train.epochs = 5'`."""
    override: bool
    """Whether it came from the command line."""
    value_place: str = ""
    """If the value is a macro: where the macro's value was written; else empty."""

    @property
    def set_at(self) -> str:
        """Where the value was written; for a macro, where the macro is bound."""
        return self.value_place or self.place

    @property
    def key(self) -> str:
        """The text to the left of the equals sign."""
        scope = f"{self.scope}/" if self.scope else ""
        return f"{scope}{self.target}" + (self.parameter and f".{self.parameter}")


DEEPEST = 50
"""How deep sequences and mappings may be nested. More is a mistake, and functions that
call themselves for each level would reach Python's limit."""


def _is_deep(value: Any) -> bool:
    layer = [value]
    for _ in range(DEEPEST + 1):
        layer = [
            inner
            for one in layer
            if isinstance(one, list | tuple | dict)
            for inner in ([*one, *one.values()] if isinstance(one, dict) else one)
        ]
        if not layer:
            return False
    return True


class _Delegate(config_parser.ParserDelegate):
    def configurable_reference(
        self, scoped_configurable_name: str, evaluate: bool
    ) -> Reference:
        scope, _, name = scoped_configurable_name.rpartition("/")
        return Reference(scope, name, evaluate)

    def macro(self, macro_name: str) -> Macro:
        return Macro(macro_name)


def read_files(recipes: Sequence[str]) -> list[Binding]:
    """Reads recipes and all files they include, in the order in which gin binds.

    Args:
        recipes: names as for `find_recipe`.

    Raises:
        UserError: if a file is missing, is not gin, imports a module or includes
            itself.
    """
    return [binding for name in recipes for binding in _read_file(name, "", ())]


def read_override(text: str, option: str = "--set") -> list[Binding]:
    """Reads one override of the command line.

    Args:
        text: bindings, e.g. `train.epochs = 5`.
        option: the option it came from, for errors.

    Raises:
        UserError: if the text is not one or more bindings.
    """
    place = f"{option} '{' '.join(text.splitlines())}'"
    found = [
        _binding(statement, place, override=True)
        for statement in _statements(io.StringIO(text), place, _OVERRIDE_HINT)
        if isinstance(statement, config_parser.BindingStatement)
    ]
    if not found:
        raise UserError(f"{place} does not set a value.{_OVERRIDE_HINT}")
    return found


def read_text(text: str, name: str) -> list[Binding]:
    """Reads gin text without includes, such as a resolved configuration.

    Raises:
        UserError: if it is not gin.
    """
    return [
        _binding(statement, f"{name}:{statement.location.line_num}", override=False)
        for statement in _statements(io.StringIO(text), name)
        if isinstance(statement, config_parser.BindingStatement)
    ]


_OVERRIDE_HINT = (
    " Write name.parameter = value; put quotes around strings and @ before plugins: "
    "\"data.name = 'cifar10'\", 'train.runner = @runners.single()'."
)


def _read_file(name: str, wanted_by: str, above: tuple[str, ...]) -> Iterator[Binding]:
    remote = "://" in name  # Such as gs://bucket/run/config.gin.
    path = name
    if not remote:
        local = above and "://" not in above[-1]
        beside = pathlib.Path(above[-1]).parent if local else None
        found = find_recipe(name, wanted_by=wanted_by, beside=beside)
        if beside is not None and found == beside / name:
            # A name that a person finds from the current folder.
            name = os.path.join(os.path.dirname(wanted_by), name)
        path = str(found.resolve())
    if path in above:
        raise UserError(f"{name} includes itself ({wanted_by}). Remove the include.")
    text = _remote_text(path) if remote else _local_text(path, name)
    for statement in _statements(io.StringIO(text), name):
        place = f"{name}:{statement.location.line_num}"
        if isinstance(statement, config_parser.IncludeStatement):
            yield from _read_file(statement.filename, place, (*above, path))
        elif isinstance(statement, config_parser.BindingStatement):
            yield _binding(statement, place, override=False)


def _local_text(path: str, name: str) -> str:
    try:
        # Some editors put a byte-order mark first.
        return pathlib.Path(path).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{name} cannot be read: {error}.") from error


def _remote_text(path: str) -> str:
    # Imported here, because files on a disk are read without TensorFlow.
    import tensorflow as tf

    from sslkit.storage import reaching

    with reaching("the recipe", path), tf.io.gfile.GFile(path) as file:
        return file.read().removeprefix("\ufeff")


def _statements(stream: io.StringIO, source: str, hint: str = "") -> Iterator[Any]:
    try:
        for statement in config_parser.ConfigParser(stream, _Delegate()):
            if isinstance(statement, config_parser.ImportStatement):
                raise UserError(
                    f"{source}: '{statement.format()}' is not allowed. Plugins are "
                    "found by their entry points; `sslkit plugins` lists them."
                )
            included = isinstance(statement, config_parser.IncludeStatement)
            if included and hint:
                raise UserError(
                    f"{source} cannot include a file. Give the file with --gin."
                )
            yield statement
    except SyntaxError as error:
        line = "" if hint else f":{error.lineno}"
        # If gin adds a line to Python's reason, gin's line is the clearer one.
        reason = str(error.msg).splitlines()[-1].strip().rstrip(".")
        raise UserError(f"{source}{line} is not gin: {reason}.{hint}") from error
    except (RecursionError, MemoryError) as error:
        raise UserError(f"{source}: a value is nested too deeply.{hint}") from error
    except (tokenize.TokenError, TypeError, ValueError) as error:
        raise UserError(f"{source} is not gin: {error.args[0]}.{hint}") from error


def _binding(
    statement: config_parser.BindingStatement, place: str, *, override: bool
) -> Binding:
    if _is_deep(statement.value):
        raise UserError(
            f"{place}: the value is nested more than {DEEPEST} deep. Give a value with "
            "fewer levels."
        )
    return Binding(
        scope=statement.scope,
        target=statement.selector,
        parameter=statement.arg_name,
        value=statement.value,
        place=place,
        override=override,
    )
