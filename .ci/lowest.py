"""Prints the lowest versions that pyproject.toml allows, as pins, one on a line.

Usage: python .ci/lowest.py

A version without a wheel for this Python is left out, for pip to choose another, and
named on stderr. Asks the package index which wheels there are.
"""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys
import tomllib

PROJECT = pathlib.Path(__file__).resolve().parent.parent / "pyproject.toml"


def lowest(requirement: str) -> tuple[str, str]:
    """Returns name and version of the lowest that `name>=version,...` allows."""
    name, _, bounds = requirement.partition(">=")
    if not bounds:
        sys.exit(f"{requirement} in {PROJECT.name} has no lowest version: say name>=x")
    return name, bounds.split(",")[0]


def wheels(name: str) -> set[str]:
    """Returns the versions of which there are wheels for this Python."""
    command = [sys.executable, "-m", "pip", "index", "versions", name]
    found = subprocess.run(
        [*command, "--only-binary", ":all:"],
        capture_output=True,
        text=True,
        env={**os.environ, "PIP_QUIET": "0"},  # The listing is what would be silent.
    )
    _, _, listed = found.stdout.partition("Available versions: ")
    if not listed:
        sys.exit(f"{' '.join(command)} lists nothing: {found.stderr.strip()}")
    return {padded(version) for version in listed.splitlines()[0].split(", ")}


def padded(version: str) -> str:
    """Returns a version as it compares: 5 and 5.0.0 are one."""
    return ".".join([*version.split("."), "0", "0"][:3])


def main() -> None:
    """Prints the pins."""
    settings = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["tool"]["sslkit"]
    for requirement in settings["dependencies"]:
        name, version = lowest(requirement)
        if padded(version) in wheels(name):
            print(f"{name}=={version}")
        else:
            python = ".".join(map(str, sys.version_info[:2]))
            line = f"{name} {version} has no wheel for Python {python}; pip chooses"
            print(line, file=sys.stderr)


if __name__ == "__main__":
    main()
