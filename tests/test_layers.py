"""The order of the layers, and that no import goes upward in it."""

from __future__ import annotations

import ast
import itertools
import pathlib
from collections.abc import Iterator

import pytest

LAYERS = (
    "cli",
    "page",
    "auditing comparison sweeps",
    "doctor plan scaffold status testing",
    "execution",
    "runs",
    "export",
    "config",
    "training",
    "pictures",
    "evaluate",
    "published",
    "objectives",
    "data nn optimize reporters runners views",
    "metrics_log workdir",
    "checkpoints ownership",
    "plugins storage",
    "api",
    "augmentation objective runner",
    "backbone batch evaluation optimizer programs replica randomness reporter schedule "
    "source",
    "keras_backend",
    "announced arguments claims deprecation environment signatures",
    "errors",
    "secrets",
)
"""From top to foot. A module imports its own package and what stands below it, and none
of those that share a line with it. `docs/architecture.md` shows the same picture."""

PLACE = {name: place for place, line in enumerate(LAYERS) for name in line.split()}

ENTRIES = ("sslkit", "sslkit.__main__")
"""Modules outside the layers; their functions import what they stand for."""


def sources(root: pathlib.Path) -> list[pathlib.Path]:
    return sorted((root / "sslkit").rglob("*.py"))


def imports(root: pathlib.Path, path: pathlib.Path) -> Iterator[tuple[str, str]]:
    """Yields (module, its imports from sslkit), anywhere in the file."""
    parts = path.relative_to(root).with_suffix("").parts
    module = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            found = [name.name for name in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno} imports relatively"
            found = [str(node.module)]
            if node.module == "sslkit":
                found = [f"sslkit.{name.name}" for name in node.names]
        else:
            continue
        for name in found:
            if name.split(".")[0] == "sslkit" and "." in name:
                yield module, name


def upward(module: str, imported: str) -> bool:
    """Returns whether an import goes upward, or to the same line."""
    target = imported.split(".")[1]
    if target not in PLACE:
        return False  # a constant of sslkit itself
    own = module.split(".")[1]
    return target != own and PLACE[target] <= PLACE[own]


def test_every_part_of_sslkit_has_a_layer(repository):
    found = {
        path.relative_to(repository / "sslkit").parts[0].removesuffix(".py")
        for path in sources(repository)
    }
    assert found - {"__init__", "__main__"} == set(PLACE)


def test_no_import_runs_upward(repository):
    found = [
        f"{module} imports {imported}"
        for path in sources(repository)
        for module, imported in imports(repository, path)
        if module not in ENTRIES and upward(module, imported)
    ]
    assert found == []


@pytest.mark.parametrize("above, below", list(itertools.pairwise(LAYERS)))
def test_an_import_of_the_layer_above_is_seen(above, below):
    upper, lower = above.split()[0], below.split()[0]
    assert upward(f"sslkit.{lower}.x", f"sslkit.{upper}.y")
    assert not upward(f"sslkit.{upper}.x", f"sslkit.{lower}.y")


def test_an_import_beside_is_seen():
    assert upward("sslkit.nn.x", "sslkit.views.y")
    assert not upward("sslkit.nn.x", "sslkit.nn.y")


def test_the_picture_in_the_documentation_is_this_order(repository):
    text = (repository / "docs" / "architecture.md").read_text(encoding="utf-8")
    picture = text.partition("<!-- layers -->\n```text\n")[2].partition("```")[0]
    lines = [line.partition("  ")[0].split() for line in picture.splitlines()]
    shown = [name for line in lines for name in line]
    assert shown == [name for line in LAYERS for name in line.split()]
