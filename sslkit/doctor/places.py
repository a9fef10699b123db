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
"""With fewer free bytes a disk gets a note, or is called broken: a run soon fails."""
_MEMORY = 4 * _GIB


def check_memory() -> Iterator[Finding]:
    """Checks the processors and the memory that this process may use."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None
    cores = cores or os.cpu_count() or 1
    total, free = _memory()
    if total is None or free is None:
        yield Finding("ok", "machine", f"{cores} cores")
        return
    said = f"{cores} cores, {free / _GIB:.1f} of {total / _GIB:.1f} GiB memory free"
    yield Finding("note" if free < _MEMORY else "ok", "machine", said)


def _memory() -> tuple[int | None, int | None]:
    """Returns (bytes of memory, bytes free), within the limit of a container."""
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
    """Checks the free space on the disk of a folder, which need not exist.

    Args:
        path: the folder, not in a bucket.
        about: what the folder is for.
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
        return Finding("broken", "disk", f"{said}. Delete files, or use another disk")
    return Finding("note" if free < _LITTLE else "ok", "disk", said)


def check_disks(workdirs: list[str]) -> Iterator[Finding]:
    """Checks the disks that a run writes to."""
    local = [path for path in workdirs if "://" not in path]
    for path in local or [os.curdir]:
        yield check_disk(path, "the workdir" if local else "the current folder")
    yield check_disk(tempfile.gettempdir(), "temporary files")


def check_write(path: str, *, seconds: float) -> Finding:
    """Writes a file into a workdir, or where it would be created, and removes it."""
    return _finding(f"{path} can", "written", run_probe("write", path, seconds=seconds))


def check_read(path: str, *, seconds: float) -> Finding:
    """Reads the first byte of a file in a folder of data."""
    place = path.removeprefix("folder:")
    return _finding(f"{path} can", "read", run_probe("read", place, seconds=seconds))


def _finding(can: str, verb: str, steps: list[Step]) -> Finding:
    about = "workdir" if verb == "written" else "data"
    (*_, last) = steps
    if last.error is None:
        return Finding(
            "ok", about, f"{can} be {verb}: {last.found}, in {last.seconds:.2f} s"
        )
    return Finding("broken", about, f"{can}not be {verb}: {last.error}")
