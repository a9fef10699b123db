"""Whether a process is training in a folder."""

from __future__ import annotations

import os
import time

from sslkit.claims import CLAIM, LEASE_SECONDS, lives, parse_claim


def is_alive(folder: str) -> bool | None:
    """Returns whether a process is training in a folder.

    The folder's claims say which process owns it. If that is a process of this machine,
    it must exist; if it is one of another machine, its claim file must have changed
    within the last two minutes.

    Args:
        folder: a run's folder.

    Returns:
        True or False; None for a bucket, where it is not known.
    """
    if "://" in folder:
        return None
    try:
        names = os.listdir(folder)
    except OSError:
        return None
    for name in filter(CLAIM.fullmatch, names):
        path = os.path.join(folder, name)
        try:
            with open(path, encoding="utf-8") as file:
                claim = parse_claim(file.read())
            changed = os.stat(path).st_mtime
        except (OSError, UnicodeDecodeError):
            continue
        if claim is not None and claim.holds:
            found = lives(claim)
            if found is None:
                found = time.time() - changed < LEASE_SECONDS
            if found:
                return True
    return False
