"""The keywords of a class or function, read from its source code.

Neither the module nor the packages above it are imported, so that a mistake in a recipe
is found in milliseconds, before TensorFlow is loaded.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import Any, NamedTuple

from sslkit.arguments.wanted import Kind, Wanted, wanted
from sslkit.config.annotations import Reader
from sslkit.config.sources import Definition, Imported, Source, find_definition

_DEEPEST = 8
"""How many base classes up a constructor is searched for."""
_RENAMED = (
    Imported("sslkit.api", "renamed"),
    Imported("sslkit.deprecation", "renamed"),
)
"""The names under which a module can import the decorator."""


class Parameter(NamedTuple):
    """One keyword."""

    wanted: Wanted
    """The values that its annotation allows."""
    default: str | None
    """Its default as Python source; None if it has no default."""


class Signature(NamedTuple):
    """The keywords of a constructor or function."""

    parameters: Mapping[str, Parameter]
    """All of them by name, in the order of the source."""
    returns: Any
    """The type of a function's result, from its annotation; Any for a class."""

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the keywords, in the order of the source."""
        return tuple(self.parameters)

    @property
    def required(self) -> frozenset[str]:
        """The keywords without a default."""
        return frozenset(
            name for name, one in self.parameters.items() if one.default is None
        )


def signature(value: str, kinds: Mapping[str, type[Kind]]) -> Signature | None:
    """Reads the signature behind an entry point's value.

    Args:
        value: `package.module:Class` or `package.module:function`.
        kinds: see `annotations.Reader`.

    Returns:
        The keywords; None if the source does not show them: it is not Python source,
        the name is not defined at the top level of a module, no class there defines the
        constructor, or it takes `*args` or `**kwargs`.
    """
    module, _, attribute = value.partition(":")
    found = find_definition(module, attribute)
    if found is None:
        return None
    if isinstance(found.node, ast.FunctionDef):
        return _read(found, found.node, kinds, skip=0)
    constructor = constructor_of(found)
    if constructor is None:
        return Signature({}, Any) if _takes_nothing(found, _DEEPEST) else None
    holder, function = constructor
    return _read(holder, function, kinds, skip=1)


def renamed_keywords(value: str) -> Mapping[str, tuple[str, str]]:
    """Reads the keywords whose names have changed; see `sslkit.deprecation.renamed`.

    Args:
        value: as `signature` takes it.

    Returns:
        Old name -> (new name, the version that no longer knows the old name).
    """
    module, _, attribute = value.partition(":")
    found = find_definition(module, attribute)
    if found is not None and not isinstance(found.node, ast.FunctionDef):
        constructor = constructor_of(found)
        found = (
            None
            if constructor is None
            else Definition(constructor[0].source, constructor[1])
        )
    if found is None:
        return {}
    assert isinstance(found.node, ast.FunctionDef)
    return dict(
        renaming
        for decorator in found.node.decorator_list
        if (renaming := _renaming(decorator, found.source)) is not None
    )


def _renaming(node: ast.expr, source: Source) -> tuple[str, tuple[str, str]] | None:
    match node:
        case ast.Call(
            func=ast.Name(id=name),
            args=[ast.Constant(value=str(old)), ast.Constant(value=str(new))],
            keywords=[ast.keyword(arg="gone_in", value=ast.Constant(value=str(gone)))],
        ) if source.defined.get(name) in _RENAMED:
            return old, (new, gone)
    return None


def constructor_of(
    found: Definition, deep: int = _DEEPEST
) -> tuple[Definition, ast.FunctionDef] | None:
    """Returns the constructor of a class, its own or the first that it inherits.

    Args:
        found: the class.
        deep: how many base classes up to search.

    Returns:
        The class that defines the constructor, and the constructor; None if no class
        defines one.
    """
    if not isinstance(found.node, ast.ClassDef) or not deep:
        return None
    for item in found.node.body:
        if isinstance(item, ast.FunctionDef) and item.name == "__init__":
            return found, item
    if found.node.decorator_list or found.node.keywords:
        return None  # Such as a data class, whose constructor is not in the source.
    # With several bases the method resolution order counts, which is not done here.
    if len(found.node.bases) != 1 or not isinstance(found.node.bases[0], ast.Name):
        return None
    above = find_definition(found.source.module, found.node.bases[0].id)
    return None if above is None else constructor_of(above, deep - 1)


def _takes_nothing(found: Definition, deep: int) -> bool:
    """Returns whether neither a class nor its base classes have a constructor."""
    node = found.node
    if not isinstance(node, ast.ClassDef) or not deep or node.decorator_list:
        return False
    match node.bases:
        case []:
            return not node.keywords
        case [ast.Attribute(value=ast.Name(id=module), attr="ABC")]:
            return found.source.defined.get(module) == Imported("abc", None)
        case [ast.Name(id=name)]:
            if found.source.defined.get(name) == Imported("abc", "ABC"):
                return True
            above = find_definition(found.source.module, name)
            return above is not None and _takes_nothing(above, deep - 1)
    return False


def _read(
    found: Definition,
    function: ast.FunctionDef,
    kinds: Mapping[str, type[Kind]],
    skip: int,
) -> Signature | None:
    arguments = function.args
    if arguments.vararg or arguments.kwarg:
        return None
    reader = Reader(found.source, kinds)
    positional = [*arguments.posonlyargs, *arguments.args]
    bare = len(positional) - len(arguments.defaults)
    defaults: list[ast.expr | None] = [None] * bare + list(arguments.defaults)
    pairs = list(zip(positional, defaults, strict=True))[skip:]
    pairs += zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    return Signature(
        {
            argument.arg: Parameter(
                wanted(reader.evaluate(argument.annotation)),
                None if default is None else _written(default, found.source.module),
            )
            for argument, default in pairs
        },
        reader.evaluate(function.returns),
    )


def _written(default: ast.expr, module: str) -> str:
    """Returns a default as source, with the module's constants replaced by values."""

    class Values(ast.NodeTransformer):
        def visit_Name(self, node: ast.Name) -> ast.expr:
            found = find_definition(module, node.id)
            if found is not None and isinstance(found.node, ast.Assign):
                try:
                    return ast.Constant(ast.literal_eval(found.node.value))
                except ValueError:  # It is not a constant.
                    pass
            return node

    return ast.unparse(Values().visit(default))
