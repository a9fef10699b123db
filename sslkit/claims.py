"""Claims: text files by which a process claims a folder for itself.

They are read here without TensorFlow; `sslkit.ownership` writes and renews them.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
import os
import platform
import re

CLAIM = re.compile(r"owner-([0-9a-f]{16})\.json")
"""Pattern of the names of files with claims."""
LEASE_SECONDS = 120.0
"""An owner on another machine that does not renew its claim for this time loses it."""


@dataclasses.dataclass(frozen=True)
class Claim:
    """The claim of a process to a folder, which it has or wants."""

    token: str
    """A unique name."""
    host: str
    """Name of its machine, for people."""
    machine: str
    """Where its process id is valid: a boot of a machine, and a namespace there."""
    pid: int
    """Id of its process."""
    born: str
    """When its process began, by the machine's own counter; empty if unknown."""
    start: str
    """When it claimed the folder, for people."""
    renewed: str
    """When it last renewed the claim, for people."""
    renewals: int
    """How often it has been renewed."""
    holds: bool
    """Whether the process has the folder, or only wants it."""
    instead_of: tuple[str, ...] = ()
    """Tokens of the claims that it has taken over."""

    def __str__(self) -> str:
        """Names the process."""
        return f"process {self.pid} on {self.host}, since {self.start}"


def parse_claim(text: str) -> Claim | None:
    """Reads a claim from text; None if the text is not a claim."""
    try:
        found = json.loads(text)
        claim = Claim(**{**found, "instead_of": tuple(found["instead_of"])})
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    kinds = {"pid": int, "renewals": int, "holds": bool, "instead_of": tuple}
    for field in dataclasses.fields(Claim):
        if not isinstance(getattr(claim, field.name), kinds.get(field.name, str)):
            return None
    return claim


def lives(claim: Claim | None) -> bool | None:
    """Returns whether the process of a claim is running; None if it is not known."""
    if claim is None or claim.machine != machine():
        return None
    return born(claim.pid) == claim.born


def born(pid: int) -> str | None:
    """Returns when a process of this machine began; None if there is no such process.

    The id may belong to another process by now, so the id alone is not enough. The time
    is by the machine's own counter; the empty string if it cannot be read.
    """
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except (PermissionError, OverflowError):
        pass
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            # Its name, in brackets, may have any characters.
            fields = file.read().rpartition(")")[2].split()
    except OSError:
        return ""
    # A process that has ended may remain as a zombie.
    return None if fields[0] in "ZX" else fields[19]


@functools.cache
def machine() -> str:
    """Names where this process's id is valid: a boot of a machine, and a namespace.

    Processes in different containers of a machine may have the same id, and containers
    on different machines may have the same name.
    """
    parts = [platform.node()]
    with contextlib.suppress(OSError):
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            parts.append(file.read().strip())
        parts.append(os.readlink("/proc/self/ns/pid"))
    return " ".join(parts)
