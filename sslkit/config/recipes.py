"""Finding recipes: in the current folder, the checkout, the installed package."""

from __future__ import annotations

import pathlib
from collections.abc import Sequence

import sslkit
from sslkit.errors import UserError, did_you_mean


def search_path() -> list[pathlib.Path]:
    """Returns the folders that recipe names are relative to, in the order of search.

    They are the current folder; the checkout, if sslkit runs from one; and the folder
    of the recipes that are installed with sslkit.
    """
    package = pathlib.Path(sslkit.__file__).resolve().parent
    roots = [pathlib.Path.cwd()]
    for root in (package.parent, package / "recipes"):
        # gin/parts, because an installed sslkit is beside the Python package gin.
        if (root / "gin" / "parts").is_dir() and root not in roots:
            roots.append(root)
    return roots


def is_part(name: str) -> bool:
    """Returns whether a file is made to be included: whether its folder is `parts`."""
    return pathlib.PurePath(name).parent.name == "parts"


def find_recipe(
    name: str, *, wanted_by: str = "", beside: pathlib.Path | None = None
) -> pathlib.Path:
    """Finds a recipe, or a part that a recipe includes.

    Args:
        name: an absolute path, or one relative to a folder of `search_path`, e.g.
            `gin/fnc_r50_pretrain.gin`.
        wanted_by: file and line of the `include`, for the error.
        beside: the folder of the file with the `include`, which is searched last.

    Raises:
        UserError: if no such file exists; names the folders that were searched, and
            the recipes in them.
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
        f"there is no recipe '{name}'{place}. {near}Searched in {looked}. "
        f"Recipes: {', '.join(available) or 'none'}."
    )


def _is_file(path: pathlib.Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # A file cannot have this name.
        return False


def recipes(roots: Sequence[pathlib.Path]) -> list[str]:
    """Lists the recipes in each root's `gin/`, without parts, as names for --gin."""
    return sorted(
        {
            path.relative_to(root).as_posix()
            for root in roots
            for path in (root / "gin").glob("*.gin")
        }
    )
