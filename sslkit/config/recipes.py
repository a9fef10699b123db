"""Where recipes are: the current folder, the checkout, the installed package."""

from __future__ import annotations

import pathlib
from collections.abc import Sequence

import sslkit
from sslkit.errors import UserError, did_you_mean


def search_path() -> list[pathlib.Path]:
    """Returns the folders that recipe names are relative to, first match first.

    The current folder; the checkout, when sslkit runs from one; the folder where an
    installed sslkit keeps its own recipes.
    """
    package = pathlib.Path(sslkit.__file__).resolve().parent
    roots = [pathlib.Path.cwd()]
    for root in (package.parent, package / "recipes"):
        # An installed sslkit is a neighbour of the Python package gin.
        if (root / "gin" / "parts").is_dir() and root not in roots:
            roots.append(root)
    return roots


def is_part(name: str) -> bool:
    """Returns whether a file is a part, made to be included, by where it stands."""
    return pathlib.PurePath(name).parent.name == "parts"


def find_recipe(
    name: str, *, wanted_by: str = "", beside: pathlib.Path | None = None
) -> pathlib.Path:
    """Finds a recipe, or a part that a recipe includes.

    Args:
        name: an absolute path, or one relative to a folder of `search_path`, e.g.
            `gin/fnc_r50_pretrain.gin`.
        wanted_by: file and line of the `include`, for the error.
        beside: the folder of the file that includes, searched last.

    Raises:
        UserError: if no such file exists; says where it looked and what is there.
    """
    roots = search_path()
    if beside is not None and beside not in roots:
        roots.append(beside)
    # Joining with an absolute path gives that path.
    for root in roots:
        if _is_file(root / name):
            return root / name
    available = recipes(roots)
    by_stem = {pathlib.PurePath(path).stem: path for path in available}
    near = did_you_mean(name, available)
    stem = pathlib.PurePath(name).stem
    if not near and stem in by_stem:
        near = f"Did you mean '{by_stem[stem]}'? "
    place = f" ({wanted_by})" if wanted_by else ""
    looked = ", ".join(map(str, roots))
    raise UserError(
        f"no recipe '{name}'{place}. {near}Looked in {looked}. "
        f"Recipes: {', '.join(available) or 'none'}."
    )


def _is_file(path: pathlib.Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # No file can be called so.
        return False


def recipes(roots: Sequence[pathlib.Path]) -> list[str]:
    """Lists the recipes below each root's `gin/`, parts left out, as names to give."""
    return sorted(
        {
            path.relative_to(root).as_posix()
            for root in roots
            for path in (root / "gin").glob("*.gin")
        }
    )
