"""Keeping freed memory in the process, so that the next step can use it again.

Without oneDNN's kernels, TensorFlow asks the C library for each large tensor. By
default glibc takes such blocks from the system and returns them when they are freed, so
each step gets new pages, which the system has to fill with zeros first. If glibc keeps
them instead, steps are faster and results are the same.

Only the `sslkit` command does this, because its process is its own. Importing sslkit in
a notebook does not change the process.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable

from sslkit.errors import UserError

VARIABLE = "SSLKIT_KEEP_MEMORY"
"""0 leaves the C library as it is; 1, or no value, lets it keep freed memory."""

# The numbers are those of malloc.h; glibc promises not to change them.
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3
_LARGEST_INT = 2**31 - 1

# From this size on, a block is mapped and unmapped on its own. Older versions of glibc
# accept at most the second value.
_MAPPED_FROM = (2**30, 2**25)


def keep_freed_memory() -> bool:
    """Lets glibc keep freed memory from now on, unless the user has set it up.

    Call it before TensorFlow is imported: blocks that are allocated before are not
    affected. It does nothing with another C library, or if the process was started with
    settings for glibc's allocator (`MALLOC_*_`, `GLIBC_TUNABLES`).

    Returns:
        Whether glibc keeps freed memory now.

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
    # This one first: setting any of the three stops glibc from adapting this threshold,
    # and the value that it starts with, 128 KiB, is the worst of all.
    if mallopt is None or not any(
        mallopt(_MMAP_THRESHOLD, size) for size in _MAPPED_FROM
    ):
        return False
    # At the end of the heap: how much is taken at once, and how much may stay unused.
    return bool(mallopt(_TOP_PAD, 2**28) and mallopt(_TRIM_THRESHOLD, _LARGEST_INT))


def _has_settings() -> bool:
    """Returns whether the user has set up the allocator."""
    tunables = os.environ.get("GLIBC_TUNABLES", "")
    return "glibc.malloc." in tunables or any(
        name.startswith("MALLOC_") and name.endswith("_") for name in os.environ
    )


def _mallopt() -> Callable[[int, int], int] | None:
    """Returns glibc's `mallopt`: (setting, value) -> 1 on success; None elsewhere."""
    name = "CS_GNU_LIBC_VERSION"
    if name not in getattr(os, "confstr_names", {}) or not os.confstr(name):
        return None
    mallopt = ctypes.CDLL(None).mallopt
    mallopt.argtypes = [ctypes.c_int, ctypes.c_int]
    mallopt.restype = ctypes.c_int
    return mallopt
