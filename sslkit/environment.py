"""The environment of this process: package versions and the commit of the code."""

from __future__ import annotations

import importlib.metadata
import os
import pathlib
import platform
import subprocess
from collections.abc import Iterable

import sslkit

_GIT_SECONDS = 5


def version(distribution: str) -> str | None:
    """Returns the version of an installed distribution, without importing it."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def versions(distributions: Iterable[str]) -> dict[str, str]:
    """Returns name -> version for those distributions that are installed."""
    found = {name: version(name) for name in distributions}
    return {name: one for name, one in found.items() if one is not None}


def commit() -> str | None:
    """Returns the commit of the checkout from which sslkit runs.

    Returns:
        Its 40 digits, with `-dirty` if files have changed since; None if sslkit is not
        run from a checkout, or git is not available.
    """
    root = pathlib.Path(sslkit.__file__).resolve().parent.parent
    if not (root / ".git").exists():
        return None
    try:
        done = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],
            cwd=root,
            capture_output=True,
            text=True,
            timeout=_GIT_SECONDS,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None


def facts() -> dict[str, str]:
    """Returns the environment of a run, name -> text: system, versions, commit."""
    found = {
        "system": f"{platform.system()} {platform.machine()}, "
        f"Python {platform.python_version()}",
        **versions(["sslkit", "tensorflow", "keras", "numpy"]),
    }
    code = commit()
    return found if code is None else {**found, "commit": code}


def at_home(text: str) -> str:
    """Returns a text in which the user's home folder is written as `~`."""
    home = os.path.expanduser("~")
    return text.replace(home, "~") if len(home) > 1 else text
