"""Whether a process trains in a folder."""

from __future__ import annotations

import os

_LOCKS = "/proc/locks"


def is_alive(folder: str) -> bool | None:
    """Returns whether a process of this machine trains in a folder.

    Asked of the system's list of locks, which a run holds on its folder, so that the
    question does not take the lock itself.

    Args:
        folder: a run's folder.

    Returns:
        None where that is not known: in a bucket, and on a system without the list.
    """
    if "://" in folder:
        return None
    try:
        place = os.stat(folder)
        with open(_LOCKS, encoding="ascii") as file:
            lines = file.read().splitlines()
    except OSError:
        return None
    device = f"{os.major(place.st_dev):02x}:{os.minor(place.st_dev):02x}"
    wanted = f"{device}:{place.st_ino}"
    # `1: FLOCK  ADVISORY  WRITE 1234 08:01:5678 0 EOF`; one that waits has a `->`.
    held = (line.split() for line in lines if "->" not in line)
    return any(
        words[1] == "FLOCK" and words[3] == "WRITE" and words[5] == wanted
        for words in held
        if len(words) > 5
    )
