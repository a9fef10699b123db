"""Paths in a resolved configuration, made absolute."""

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
    """Returns a resolved configuration whose paths do not depend on the current folder.

    Args:
        resolved: gin text with one binding per line, from `Resolution.render`.

    Returns:
        The same text with absolute paths on this machine: those of data, of `folder:`
        names and of the run's start (`train.initialize`).
    """
    return _changed(resolved, lambda key, path: os.path.abspath(path))


def comparable(resolved: str, *, workdir: str, started: str | None) -> str:
    """Returns a configuration in which each path has only one spelling.

    Args:
        resolved: as for `absolute`.
        workdir: the present folder of the run.
        started: the path that the present command gives as the run's start.

    Returns:
        The text with symbolic links followed. If the start does not exist any more, but
        `started` is beside the run and has the same name, both were moved together, and
        the text has the new path.
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
    """Returns the path of the run's start in a configuration; None if it has none."""
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
        # The name of a dataset is not a path.
        named = key == "data.name" and not kind
        if named or not path or "://" in path or path.startswith("~"):
            return match[0]
        return f"{name} = {kind + change(key, path)!r}"

    return _LINE.sub(line, resolved)
