"""What installed distributions announce, from their metadata; nothing is imported."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterator
from typing import NamedTuple

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from sslkit.errors import describe


class Origin(NamedTuple):
    """What a plugin has of its distribution."""

    distribution: str
    version: str
    requires: tuple[str, ...]


class Announced(NamedTuple):
    """What a distribution announces."""

    entry_points: tuple[importlib.metadata.EntryPoint, ...]
    origin: Origin | None
    """None where it announces nothing of sslkit's, or is damaged."""
    damage: str | None
    """What is wrong with its metadata, in a line."""


def announced() -> Iterator[Announced]:
    """Looks at each distribution alone, so that a damaged one hides no other."""
    seen = set()
    for distribution in importlib.metadata.distributions():
        entry_points: tuple[importlib.metadata.EntryPoint, ...] = ()
        name = "without a name"
        try:
            # As the standard library tells them apart: by the name of the folder, if it
            # has one. Of two of one name the first on the path is what is imported.
            name = distribution._normalized_name  # type: ignore[attr-defined]
            if name in seen:
                continue
            seen.add(name)
            entry_points = tuple(distribution.entry_points)
            ours = any(e.group.startswith("sslkit.") for e in entry_points)
            # Metadata is parsed at each look, so only where it is of use.
            yield Announced(entry_points, _origin(distribution) if ours else None, None)
        except Exception as error:  # Damage shows in many ways.
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
