"""The names that modules define and import, read from their source code."""

from __future__ import annotations

import ast
import dataclasses
import functools
import importlib.util
import os
import pathlib
from collections.abc import Iterable, Iterator

_DEEPEST = 8
"""Through how many imports a name is followed."""


@dataclasses.dataclass(frozen=True)
class Imported:
    """A name that a module imports from another."""

    module: str
    name: str | None
    """None if it is the module itself."""


@dataclasses.dataclass(frozen=True)
class Source:
    """The names that a module defines at its top level."""

    module: str
    defined: dict[str, ast.stmt | Imported]


@dataclasses.dataclass(frozen=True)
class Definition:
    """The statement that defines a name, and its module."""

    source: Source
    node: ast.stmt


def read_source(module: str) -> Source | None:
    """Reads a module's source.

    Args:
        module: its full name.

    Returns:
        What it defines; None if the module does not exist or is not Python source.
    """
    path = path_of(module)
    if path is None:
        return None
    try:
        state = path.stat()
        return _parsed(module, path, state.st_mtime_ns, state.st_size)
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def find_definition(module: str, name: str) -> Definition | None:
    """Follows a name through imports to the statement that defines it.

    Args:
        module: where to begin.
        name: a name at its top level.

    Returns:
        The statement and its module; None if it was not found in source code.
    """
    for _ in range(_DEEPEST):
        source = read_source(module)
        found = source.defined.get(name) if source is not None else None
        if source is None or found is None:
            return None
        if not isinstance(found, Imported):
            return Definition(source, found)
        if found.name is None:
            return None
        module, name = found.module, found.name
    return None


@functools.lru_cache(maxsize=256)
def _parsed(module: str, path: pathlib.Path, changed: int, size: int) -> Source:
    # The last two are part of the cache's key: a changed file is read again.
    del changed, size
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    tree = ast.parse(path.read_bytes())
    return Source(module, dict(_definitions(tree.body, package)))


def _definitions(
    body: Iterable[ast.stmt], package: str
) -> Iterator[tuple[str, ast.stmt | Imported]]:
    for node in body:
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                yield node.name, node
            case ast.Assign(targets=[ast.Name(id=name)]):
                yield name, node
            case ast.AnnAssign(target=ast.Name(id=name)):
                yield name, node
            case ast.Import():
                for alias in node.names:
                    whole = alias.name if alias.asname else alias.name.split(".")[0]
                    yield alias.asname or whole, Imported(whole, None)
            case ast.ImportFrom():
                module = _absolute(node, package)
                for alias in node.names:
                    yield alias.asname or alias.name, Imported(module, alias.name)
            case ast.If() | ast.Try():
                # Such as `if TYPE_CHECKING:`; a later definition replaces an earlier.
                for part in (node.orelse, getattr(node, "handlers", []), node.body):
                    for inner in part:
                        yield from _definitions(
                            getattr(inner, "body", [])
                            if isinstance(inner, ast.ExceptHandler)
                            else [inner],
                            package,
                        )
            case _ if type(node).__name__ == "TypeAlias":  # from Python 3.12 on
                yield node.name.id, node  # type: ignore[attr-defined]


def _absolute(node: ast.ImportFrom, package: str) -> str:
    if not node.level:
        return node.module or ""
    parts = package.split(".")
    above = parts[: len(parts) - node.level + 1]
    return ".".join([*above, *([node.module] if node.module else [])])


def path_of(module: str) -> pathlib.Path | None:
    """Finds the file of a module; None if it is not Python source."""
    # importlib.util.find_spec("a.b") imports a. So it is called for the first part
    # only, and the rest is looked up as files.
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
