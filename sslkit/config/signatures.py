"""What a class or function can be configured with, read from its source.

Nothing is imported, neither the module nor the packages above it, so that a typo in
a recipe shows in milliseconds and not after TensorFlow has loaded.
"""

from __future__ import annotations

import ast
import importlib.util
import os
import pathlib
from typing import NamedTuple


class Signature(NamedTuple):
    """The keywords of a constructor or function."""

    names: tuple[str, ...]
    """All of them, in the order of the source."""
    required: frozenset[str]
    """Those without a default."""


def signature(value: str) -> Signature | None:
    """Reads the signature behind an entry point's value.

    Args:
        value: `package.module:Class` or `package.module:function`.

    Returns:
        The keywords, or None where the source does not tell: it is not Python source,
        the name is not defined at the top of the module, the class inherits its
        constructor, or a `*args` or `**kwargs` takes anything.
    """
    module, _, attribute = value.partition(":")
    path = _source(module)
    if path is None:
        return None
    try:
        tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return None
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name == attribute:
            return _keywords(node.args, skip=0)
        if isinstance(node, ast.ClassDef) and node.name == attribute:
            for item in node.body:
                if isinstance(item, ast.FunctionDef) and item.name == "__init__":
                    return _keywords(item.args, skip=1)
    return None


def _source(module: str) -> pathlib.Path | None:
    # importlib.util.find_spec("a.b") imports a; so only the first part is asked for,
    # and the rest is looked up as files.
    top, *rest = module.split(".")
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        return None
    if spec is None:
        return None
    if not rest:
        origin = spec.origin or ""
        return pathlib.Path(origin) if origin.endswith(".py") else None
    below = os.path.join(*rest)
    for location in spec.submodule_search_locations or ():
        for name in (f"{below}.py", os.path.join(below, "__init__.py")):
            path = pathlib.Path(location, name)
            if path.is_file():
                return path
    return None


def _keywords(arguments: ast.arguments, skip: int) -> Signature | None:
    if arguments.vararg or arguments.kwarg:
        return None
    positional = [*arguments.posonlyargs, *arguments.args]
    bare = len(positional) - len(arguments.defaults)
    required = [argument.arg for argument in positional[skip:bare]]
    required += [
        argument.arg
        for argument, default in zip(
            arguments.kwonlyargs, arguments.kw_defaults, strict=True
        )
        if default is None
    ]
    names = [argument.arg for argument in positional[skip:]]
    names += [argument.arg for argument in arguments.kwonlyargs]
    return Signature(tuple(names), frozenset(required))
