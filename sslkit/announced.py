"""Entry points of installed distributions, from metadata; nothing is imported."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterator
from typing import NamedTuple

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from sslkit.errors import describe


class Origin(NamedTuple):
    """The distribution of a plugin."""

    distribution: str
    version: str
    requires: tuple[str, ...]


class Announced(NamedTuple):
    """The entry points of a distribution."""

    entry_points: tuple[importlib.metadata.EntryPoint, ...]
    origin: Origin | None
    """None if it has no entry points for sslkit, or is damaged."""
    damage: str | None
    """What is wrong with its metadata, in one line."""


def announced() -> Iterator[Announced]:
    """Reads each distribution separately, so that a damaged one hides no others."""
    seen = set()
    for distribution in importlib.metadata.distributions():
        entry_points: tuple[importlib.metadata.EntryPoint, ...] = ()
        name = "without a name"
        try:
            # As in the standard library, distributions are told apart by their folder's
            # name, if it has one. Of two with one name, the first on the path is
            # imported.
            name = distribution._normalized_name  # type: ignore[attr-defined]
            if name in seen:
                continue
            seen.add(name)
            entry_points = tuple(distribution.entry_points)
            ours = any(e.group.startswith("sslkit.") for e in entry_points)
            # Metadata is parsed at each access, so only when it is needed.
            yield Announced(entry_points, _origin(distribution) if ours else None, None)
        except Exception as error:  # Damage leads to many kinds of errors.
            yield Announced(
                entry_points,
                None,
                f"the metadata of the installed distribution {name} is damaged "
                f"({describe(error)}). Install it again, or uninstall it.",
            )


def _origin(distribution: importlib.metadata.Distribution) -> Origin:
    metadata = distribution.metadata
    name, version = metadata["Name"], metadata["Version"]
    if not name or not version:
        raise ValueError("it has no name or no version")
    return Origin(
        name,
        version,
        tuple(filter(_is_about_sslkit, metadata.get_all("Requires-Dist") or ())),
    )


def _is_about_sslkit(line: str) -> bool:
    try:
        return canonicalize_name(Requirement(line).name) == "sslkit"
    except InvalidRequirement:
        return False
