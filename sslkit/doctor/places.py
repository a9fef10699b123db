"""Memory, disks, and whether folders and buckets can be read and written."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator

from sslkit.doctor.children import Step, run_probe
from sslkit.doctor.finding import Finding

_GIB = 2**30
_LITTLE, _TOO_LITTLE = 10 * _GIB, _GIB
"""Free bytes below which a disk is worth a word, and below which a run soon fails."""
_MEMORY = 4 * _GIB


def check_memory() -> Iterator[Finding]:
    """Looks at processors and memory, as far as this process may use them."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None
    cores = cores or os.cpu_count() or 1
    total, free = _memory()
    if total is None or free is None:
        yield Finding("ok", "machine", f"{cores} cores")
        return
    said = f"{cores} cores, {free / _GIB:.1f} of {total / _GIB:.1f} GiB memory free"
    yield Finding("note" if free < _MEMORY else "ok", "machine", said)


def _memory() -> tuple[int | None, int | None]:
    """Returns bytes of memory and those that are free, under a container's limit."""
    found: dict[str, int] = {}
    with contextlib.suppress(OSError), open("/proc/meminfo", encoding="ascii") as file:
        for line in file:
            name, _, rest = line.partition(":")
            if rest.strip().endswith("kB"):
                found[name] = int(rest.split()[0]) * 1024
    total, free = found.get("MemTotal"), found.get("MemAvailable")
    limit = _number("/sys/fs/cgroup/memory.max")
    used = _number("/sys/fs/cgroup/memory.current")
    if total is not None and free is not None and limit is not None and limit < total:
        return limit, min(free, limit - (used or 0))
    return total, free


def _number(path: str) -> int | None:
    try:
        with open(path, encoding="ascii") as file:
            return int(file.read())
    except (OSError, ValueError):
        return None


def check_disk(path: str, about: str) -> Finding:
    """Looks at what is free on the disk of a folder, which need not exist.

    Args:
        path: the folder; a bucket has no end.
        about: what is on it.
    """
    there = os.path.abspath(path)
    while not os.path.exists(there):
        there = os.path.dirname(there)
    try:
        free = shutil.disk_usage(there).free
    except OSError as error:
        return Finding("broken", "disk", f"{about}: {error.strerror}")
    said = f"{free / _GIB:.1f} GiB free for {about} ({there})"
    if free < _TOO_LITTLE:
        return Finding("broken", "disk", f"{said}. Make room, or choose another")
    return Finding("note" if free < _LITTLE else "ok", "disk", said)


def check_disks(workdirs: list[str]) -> Iterator[Finding]:
    """Looks at the disks that a run writes to."""
    local = [path for path in workdirs if "://" not in path]
    for path in local or [os.curdir]:
        yield check_disk(path, "the workdir" if local else "the current folder")
    yield check_disk(tempfile.gettempdir(), "temporary files")


def check_write(path: str, *, seconds: float) -> Finding:
    """Writes a file into a workdir, or where it would be made, and removes it."""
    return _judged(f"{path} can", "written", run_probe("write", path, seconds=seconds))


def check_read(path: str, *, seconds: float) -> Finding:
    """Reads the beginning of a file of some data."""
    place = path.removeprefix("folder:")
    return _judged(f"{path} can", "read", run_probe("read", place, seconds=seconds))


def _judged(can: str, verb: str, steps: list[Step]) -> Finding:
    about = "workdir" if verb == "written" else "data"
    (*_, last) = steps
    if last.error is None:
        return Finding(
            "ok", about, f"{can} be {verb}: {last.found}, in {last.seconds:.2f} s"
        )
    return Finding("broken", about, f"{can}not be {verb}: {last.error}")
