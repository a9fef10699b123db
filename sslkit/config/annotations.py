"""Evaluates annotations in source code without importing their module.

Names are looked up in the module's source and followed through its imports within its
own package and sslkit. `typing`, built-in types and the types of `sslkit.arguments` are
the real ones. Everything else becomes `Any`.
"""

from __future__ import annotations

import ast
import builtins
import collections.abc
import dataclasses
import typing
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Union

from sslkit import arguments
from sslkit.arguments.wanted import Kind
from sslkit.config.sources import Imported, Source, read_source

_BUILT_IN = ("int", "float", "bool", "str", "list", "tuple", "dict", "type")
_TYPING = ("typing", "typing_extensions")
_DEEPEST = 12
"""Through how many names an annotation is followed."""


@dataclasses.dataclass(frozen=True)
class _Module:
    """A module that an annotation names."""

    name: str


class Reader:
    """Evaluates the annotations of one module.

    Args:
        source: the module.
        kinds: `module:Class` -> the class that is used in its place.
    """

    def __init__(self, source: Source, kinds: Mapping[str, type[Kind]]):
        """Keeps the module; see the class."""
        self._source = source
        self._kinds = kinds
        self._packages = (source.module.split(".")[0], "sslkit")

    def evaluate(self, node: ast.expr | None) -> Any:
        """Returns the type of an annotation, for `arguments.wanted.wanted`.

        Args:
            node: the annotation; None if there is none.
        """
        if node is None:
            return Any
        return self._evaluate(node, self._source, _DEEPEST)

    def _evaluate(self, node: ast.expr, source: Source, deep: int) -> Any:
        try:
            found = self._meaning(node, source, deep)
        except Exception:  # typing raises many errors for annotations without meaning.
            return Any
        return Any if isinstance(found, _Module) else found

    def _meaning(self, node: ast.expr, source: Source, deep: int) -> Any:
        match node:
            case ast.Constant(value=None):
                return None
            case ast.Constant(value=value) if value is ...:
                return ...
            case ast.Constant(value=str(text)):
                inner = ast.parse(text, mode="eval").body
                return self._meaning(inner, source, deep)
            case ast.Name(id=name):
                return self._name(name, source, deep)
            case ast.Attribute(value=value, attr=attr):
                owner = self._meaning(value, source, deep)
                if isinstance(owner, _Module):
                    return self._member(owner.name, attr, deep)
            case ast.BinOp(left=left, op=ast.BitOr(), right=right):
                both = (self._evaluate(side, source, deep) for side in (left, right))
                return Union[tuple(both)]  # noqa: UP007 - made at run time
            case ast.List(elts=items):
                return [self._evaluate(item, source, deep) for item in items]
            case ast.Subscript(value=value, slice=index):
                return self._subscript(value, index, source, deep)
        return Any

    def _subscript(
        self, value: ast.expr, index: ast.expr, source: Source, deep: int
    ) -> Any:
        base = self._evaluate(value, source, deep)
        if base is Any:
            return Any
        items = index.elts if isinstance(index, ast.Tuple) else [index]
        if base is Literal:
            return Literal[tuple(ast.literal_eval(item) for item in items)]
        if base is Annotated:
            first, *extras = items
            known = [
                extra
                for extra in (self._range(item, source, deep) for item in extras)
                if extra is not None
            ]
            meaning = self._evaluate(first, source, deep)
            return Annotated[(meaning, *known)] if known else meaning
        inner = tuple(self._evaluate(item, source, deep) for item in items)
        return base[inner if len(inner) > 1 else inner[0]]

    def _range(
        self, node: ast.expr, source: Source, deep: int
    ) -> arguments.Range | None:
        """Evaluates a `Range(...)` in `Annotated`; None for everything else."""
        if not isinstance(node, ast.Call):
            return None
        if self._evaluate(node.func, source, deep) is not arguments.Range:
            return None
        given = {str(k.arg): ast.literal_eval(k.value) for k in node.keywords}
        return arguments.Range(*map(ast.literal_eval, node.args), **given)

    def _name(self, name: str, source: Source, deep: int) -> Any:
        if deep <= 0:
            return Any
        found = source.defined.get(name)
        match found:
            case None if name in _BUILT_IN:
                return getattr(builtins, name)
            case Imported(module=module, name=None):
                return _Module(module)
            case Imported(module=module, name=str(member)):
                return self._member(module, member, deep - 1)
            case ast.ClassDef():
                return self._kinds.get(f"{source.module}:{name}", Any)
            case ast.Assign(value=value) | ast.AnnAssign(value=ast.expr() as value):
                return self._meaning(value, source, deep - 1)
            case object(value=value) if type(found).__name__ == "TypeAlias":
                # The class is in `ast` from Python 3.12 on.
                return self._meaning(value, source, deep - 1)
        return Any

    def _member(self, module: str, name: str, deep: int) -> Any:
        """Returns the type that a name of another module stands for."""
        if module in _TYPING:
            return getattr(typing, name, Any)
        if module == "collections.abc":
            return getattr(collections.abc, name, Any)
        if f"{module}:{name}" in self._kinds:
            return self._kinds[f"{module}:{name}"]
        if name in arguments.__all__ and module in ("sslkit.api", "sslkit.arguments"):
            return getattr(arguments, name)
        if module == "collections" and name == "abc":
            return _Module("collections.abc")
        if module.split(".")[0] not in self._packages:
            return Any
        source = read_source(module)
        if source is not None and name in source.defined:
            return self._name(name, source, deep - 1)
        return _Module(f"{module}.{name}")
