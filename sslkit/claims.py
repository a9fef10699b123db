"""What a process says of itself in a folder that it wants or has: claims, as text.

Read without TensorFlow; `sslkit.ownership` writes and keeps them.
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
"""Names of the files that hold claims."""
LEASE_SECONDS = 120.0
"""An owner on another machine that has not renewed for so long has lost the folder."""


@dataclasses.dataclass(frozen=True)
class Claim:
    """What a process says of itself in a folder that it wants or has."""

    token: str
    """Nobody else's."""
    host: str
    """Name of its machine, for people."""
    machine: str
    """What numbers its process: a boot of a machine, and there a namespace."""
    pid: int
    """Number of its process."""
    born: str
    """When its process began, in the machine's own count; empty where unknown."""
    start: str
    """When it claimed the folder, for people."""
    renewed: str
    """When it last renewed the claim, for people."""
    renewals: int
    """How often it has."""
    holds: bool
    """Whether it has the folder, or only wants it."""
    instead_of: tuple[str, ...] = ()
    """Tokens of the claims that it has taken over."""

    def __str__(self) -> str:
        """Names the process."""
        return f"process {self.pid} on {self.host}, since {self.start}"


def parse_claim(text: str) -> Claim | None:
    """Returns the claim that a text is; None if it is not one."""
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
    """Returns whether the process of a claim lives; None if that cannot be seen."""
    if claim is None or claim.machine != machine():
        return None
    return born(claim.pid) == claim.born


def born(pid: int) -> str | None:
    """Returns when a process of this machine began; None if there is no such process.

    A number may be another process's by now, so the number is not enough. The count is
    the machine's own; where it cannot be read, it is the empty text.
    """
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except (PermissionError, OverflowError):
        pass
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            # Its name, in brackets, may hold anything.
            fields = file.read().rpartition(")")[2].split()
    except OSError:
        return ""
    # One that has ended may wait, as a zombie, for its parent to ask.
    return None if fields[0] in "ZX" else fields[19]


@functools.cache
def machine() -> str:
    """Names what numbers this process: a boot of a machine, and there a namespace.

    Containers of one machine have processes of the same number; containers of one name
    may be on several machines.
    """
    parts = [platform.node()]
    with contextlib.suppress(OSError):
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            parts.append(file.read().strip())
        parts.append(os.readlink("/proc/self/ns/pid"))
    return " ".join(parts)
