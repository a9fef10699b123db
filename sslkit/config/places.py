"""Paths in a resolved configuration: kept so that they hold from anywhere."""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Callable

INITIALIZE = "train.initialize"
_FOLDER = "folder:"
_PATHS = ("data.cache_dir", "data.data_dir", "data.name", INITIALIZE)
_OF_SOURCE = re.compile(r"sources\.\w+\.(?:\w+_)?(?:path|dir)")
"""Keywords of sources that are paths; see `sslkit.source.Source`."""
_LINE = re.compile(r"^((?:[\w/-]+/)?([\w.]+)) = (['\"].*['\"])$", re.MULTILINE)


def absolute(resolved: str) -> str:
    """Returns a resolved configuration whose paths do not depend on the folder.

    Args:
        resolved: gin text, one binding a line, as `Resolution.render` gives.

    Returns:
        The same with the paths of this machine absolute: of data, of `folder:` names
        and of what a run starts from.
    """
    return _changed(resolved, lambda key, path: os.path.abspath(path))


def comparable(resolved: str, *, workdir: str, started: str | None) -> str:
    """Returns a configuration in which one place has one spelling.

    Args:
        resolved: as `absolute`.
        workdir: where the run is now.
        started: what the run starts from by the command that is given now.

    Returns:
        The text with symbolic links followed. A start that is no longer where it was
        said to be, but beside the run under its old name, has moved with it.
    """

    def change(key: str, path: str) -> str:
        real = os.path.realpath(path)
        if key != INITIALIZE or started is None or os.path.exists(real):
            return real
        now = os.path.realpath(started)
        beside = os.path.dirname(now) == os.path.dirname(os.path.realpath(workdir))
        same = os.path.basename(now) == os.path.basename(real)
        return now if beside and same and os.path.exists(now) else real

    return _changed(resolved, change)


def start(resolved: str) -> str | None:
    """Returns the path that a configuration binds as the run's start, if it does."""
    for _, key, value in _LINE.findall(resolved):
        if key == INITIALIZE:
            return ast.literal_eval(value)
    return None


def _changed(resolved: str, change: Callable[[str, str], str]) -> str:
    def line(match: re.Match[str]) -> str:
        name, key, value = match.groups()
        if key not in _PATHS and not _OF_SOURCE.fullmatch(key):
            return match[0]
        path = ast.literal_eval(value)
        kind = _FOLDER if path.startswith(_FOLDER) else ""
        path = path.removeprefix(kind)
        # The name of a dataset is no path.
        named = key == "data.name" and not kind
        if named or not path or "://" in path or path.startswith("~"):
            return match[0]
        return f"{name} = {kind + change(key, path)!r}"

    return _LINE.sub(line, resolved)
