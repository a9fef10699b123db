"""Keeping what is freed in the process, for the next step to take again.

Without oneDNN's kernels, TensorFlow asks the C library for each large tensor. glibc
takes those from the system and gives them back when they are freed, so that each step
touches fresh pages, which the system has to fill with zeros first. Told to keep them,
it does not change a result.

This is of the `sslkit` command, whose process is its own. Importing sslkit in a
notebook leaves the process as it is.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable

from sslkit.errors import UserError

VARIABLE = "SSLKIT_KEEP_MEMORY"
"""0 leaves the C library as it is; 1, or nothing, lets it keep what is freed."""

# The numbers are those of malloc.h; glibc promises not to change them.
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3
_LARGEST_INT = 2**31 - 1

# From this size on, a block is mapped and unmapped on its own. Older versions of glibc
# take no more than the second.
_MAPPED_FROM = (2**30, 2**25)


def keep_freed_memory() -> bool:
    """Lets glibc keep what is freed, from here on, if nobody has said otherwise.

    To be called before TensorFlow is imported: what was allocated before stays as it
    was. Where the C library is another, or the process was started with settings for it
    (`MALLOC_*_`, `GLIBC_TUNABLES`), nothing is done.

    Returns:
        Whether it was done.

    Raises:
        UserError: if the variable SSLKIT_KEEP_MEMORY is neither 0 nor 1.
    """
    wanted = os.environ.get(VARIABLE, "1")
    if wanted not in ("0", "1"):
        raise UserError(
            f"{VARIABLE} is {wanted!r}; it must be 0, to give freed memory back to the "
            "system, or 1, to keep it."
        )
    if wanted == "0" or _has_settings():
        return False
    mallopt = _mallopt()
    # First: any of the three stops glibc from finding this threshold by itself, and
    # where it starts from, 128 KiB, is the worst of all.
    if mallopt is None or not any(
        mallopt(_MMAP_THRESHOLD, size) for size in _MAPPED_FROM
    ):
        return False
    # At the end of the heap: how much is taken at once, and how much may lie unused.
    return bool(mallopt(_TOP_PAD, 2**28) and mallopt(_TRIM_THRESHOLD, _LARGEST_INT))


def _has_settings() -> bool:
    """Returns whether the user has set the allocator up."""
    tunables = os.environ.get("GLIBC_TUNABLES", "")
    return "glibc.malloc." in tunables or any(
        name.startswith("MALLOC_") and name.endswith("_") for name in os.environ
    )


def _mallopt() -> Callable[[int, int], int] | None:
    """Returns glibc's (setting, value) -> 1 if it was taken; None elsewhere."""
    name = "CS_GNU_LIBC_VERSION"
    if name not in getattr(os, "confstr_names", {}) or not os.confstr(name):
        return None
    mallopt = ctypes.CDLL(None).mallopt
    mallopt.argtypes = [ctypes.c_int, ctypes.c_int]
    mallopt.restype = ctypes.c_int
    return mallopt
