"""A cache on disk for the programs that XLA compiles.

TensorFlow writes programs to a folder, which must be set before it is imported, and
reads them from there when the same program is needed again. It writes in place, and an
incomplete file ends the run that reads it. So each process has its own folder: files of
the cache are linked into it at the start, and new files are linked into the cache when
they are complete.

Only `steady_names` imports TensorFlow.
"""

from __future__ import annotations

import atexit
import contextlib
import hashlib
import importlib.metadata
import os
import pathlib
import platform
import re
import shutil
import socket
import time
from collections.abc import Callable, Iterable, Iterator, Mapping

from sslkit.errors import UserError

__all__ = ["FOLDER", "SIZE", "forget", "keep", "place", "start", "steady_names"]

FOLDER = "SSLKIT_PROGRAMS"
"""Environment variable: the folder, or `off`."""
SIZE = "SSLKIT_PROGRAMS_GIB"
"""Environment variable: the largest size of the folder, in GiB."""
_OWN = "SSLKIT_PROGRAMS_OWN"  # of this process: its id and its folder
_XLA, _TENSORFLOW = "XLA_FLAGS", "TF_XLA_FLAGS"
_CACHE = "--tf_xla_persistent_cache_directory"
_AUTOTUNE = "--xla_gpu_per_fusion_autotune_cache_dir"
_DEFAULT_GIB = 4.0
_ROOM = 2**30  # bytes that must be free; a write that fails would end the run
_ABANDONED_SECONDS = 7 * 86400.0
_ROUND = 1_000_000

# A program depends on these, but its name does not include them.
_DISTRIBUTIONS = (
    "tensorflow",
    "tensorflow-cpu",
    "nvidia-cudnn-cu12",
    "nvidia-cublas-cu12",
    "nvidia-cuda-nvcc-cu12",
)
_VARIABLES = (
    _XLA,
    _TENSORFLOW,
    "TF_DETERMINISTIC_OPS",
    "TF_CUDNN_DETERMINISTIC",
    "TF_ENABLE_ONEDNN_OPTS",
    "NVIDIA_TF32_OVERRIDE",
    "CUDA_VISIBLE_DEVICES",
)


def start() -> None:
    """Sets the folder for programs; TensorFlow must not be imported yet.

    If the folder is too large, the files that were not used for the longest time are
    removed. If the user has set a folder for TensorFlow already, nothing is done.

    Raises:
        UserError: if one of the two variables has an impossible value, or the folder
            that it names cannot be written. A default folder that cannot be written is
            not used; see `place`.
    """
    chosen = os.environ.get(FOLDER, "")
    limit = _limit(os.environ.get(SIZE, ""))
    _leave_inherited()
    if chosen.lower() == "off" or _CACHE in os.environ.get(_TENSORFLOW, ""):
        return
    if "://" in chosen:
        raise UserError(
            f"{FOLDER} is {chosen}; programs can only be kept on a disk. Name a "
            "folder, or off."
        )
    root = pathlib.Path(chosen).expanduser() if chosen else _default()
    kept = root / _machine()
    own = kept / f"own-{socket.gethostname()}-{os.getpid()}"
    try:
        if re.search(r"\s", str(own)):
            raise OSError("TensorFlow does not accept a name with a space in it")
        own.mkdir(parents=True, exist_ok=True)
        _clean(root, limit)
        if shutil.disk_usage(own).free < _ROOM:
            raise OSError("the disk is full")
        for path in kept.glob("*.pb"):
            if _is_whole(path):
                _link(path, own / path.name)
        (kept / "autotune").mkdir(exist_ok=True)
    except OSError as error:
        shutil.rmtree(own, ignore_errors=True)
        if chosen:
            raise UserError(
                f"{FOLDER} is {chosen}, which cannot be written: "
                f"{error.strerror or error}. Name another folder, or off."
            ) from error
        os.environ[_OWN] = f"{os.getpid()}:"
        return
    os.environ[_OWN] = f"{os.getpid()}:{own}"
    _add(_TENSORFLOW, f"{_CACHE}={own}")
    if os.path.exists("/proc/driver/nvidia") and _AUTOTUNE not in os.environ.get(
        _XLA, ""
    ):
        _add(_XLA, f"{_AUTOTUNE}={kept / 'autotune'}")
    atexit.register(_leave)


def place() -> str:
    """Returns where the programs of this process are kept, for the user."""
    own = _own()
    if own is not None:
        return f"kept in {own.parent.parent}; {FOLDER}=off keeps none"
    flags = re.search(rf"{_CACHE}=(\S+)", os.environ.get(_TENSORFLOW, ""))
    if flags:
        return f"kept in {flags[1]}"
    if os.environ.get(_OWN) == f"{os.getpid()}:":
        return f"not kept: {_default()} cannot be written; set {FOLDER} to a folder"
    return "not kept"


def keep() -> None:
    """Keeps the programs that this process has compiled so far.

    A program that cannot be kept is left out: the next start compiles it again.
    """
    own = _own()
    if own is None:
        return
    for path in own.glob("*.pb"):
        with contextlib.suppress(OSError):
            if not (own.parent / path.name).exists() and _is_whole(path):
                _link(path, own.parent / path.name)


def forget() -> int:
    """Removes the programs that earlier processes have kept, for all processes.

    It is called if one of them cannot be used: TensorFlow then compiles it again.

    Returns:
        How many were removed.
    """
    own = _own()
    if own is None:
        return 0
    dropped = 0
    for path in own.glob("*.pb"):
        with contextlib.suppress(OSError):
            (own.parent / path.name).unlink()
            path.unlink()
            dropped += 1
    return dropped


def steady_names() -> None:
    """Makes the names of functions that are traced next the same at each start.

    A program is found by its name, among others, and TensorFlow adds to a name the
    number of tensors that the process has made before. In a resumed run, this number is
    not that of a new run. So the counter is set to the next million.
    """
    from tensorflow.python.framework import ops

    while ops.uid() % _ROUND:
        pass


def _limit(text: str) -> float:
    """Returns the largest size of the folder, in bytes."""
    try:
        gib = float(text or _DEFAULT_GIB)
    except ValueError:
        gib = 0.0
    if not 0 < gib < float("inf"):
        raise UserError(
            f"{SIZE} is {text!r}; it must be a number of GiB above 0. {FOLDER}=off "
            "keeps no programs."
        )
    return gib * 2**30


def _default() -> pathlib.Path:
    home = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return pathlib.Path(home).expanduser() / "sslkit" / "programs"


def _machine() -> str:
    """Names the machine, its software and settings, for which a program is compiled."""
    digest = hashlib.sha256()
    for line in _described(os.environ):
        digest.update(f"{line}\n".encode())
    return digest.hexdigest()[:16]


def _described(environment: Mapping[str, str]) -> Iterator[str]:
    yield platform.machine()
    for name in _DISTRIBUTIONS:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            yield f"{name} {importlib.metadata.version(name)}"
    for name in _VARIABLES:
        yield f"{name}={environment.get(name, '')}"
    processor = r"(?:model name|flags|Features)\s*:.*"
    yield from sorted(set(_lines([pathlib.Path("/proc/cpuinfo")], processor)))
    driver = pathlib.Path("/proc/driver/nvidia")
    yield from _lines([driver / "version"], ".*")
    yield from sorted(_lines(driver.glob("gpus/*/information"), r"Model:.*"))


def _lines(paths: Iterable[pathlib.Path], pattern: str) -> Iterator[str]:
    for path in paths:
        with contextlib.suppress(OSError):
            for line in path.read_text(errors="replace").splitlines():
                if re.fullmatch(pattern, line.strip()):
                    yield line.strip()


def _own() -> pathlib.Path | None:
    """Returns the folder that this process writes to, if it has one."""
    process, _, folder = os.environ.get(_OWN, "").partition(":")
    return pathlib.Path(folder) if folder and process == str(os.getpid()) else None


def _leave_inherited() -> None:
    """Removes from the environment what a parent process has set for itself."""
    process, _, _ = os.environ.get(_OWN, "").partition(":")
    if not process or process == str(os.getpid()):
        return
    folder = os.environ.pop(_OWN).partition(":")[2]
    for variable, flag in ((_TENSORFLOW, _CACHE), (_XLA, _AUTOTUNE)):
        words = os.environ.get(variable, "").split()
        about = str(pathlib.Path(folder).parent) if folder else "\0"
        left = [w for w in words if not (w.startswith(flag) and about in w)]
        if left != words:
            os.environ[variable] = " ".join(left)
        if variable in os.environ and not os.environ[variable]:
            del os.environ[variable]


def _add(variable: str, flag: str) -> None:
    os.environ[variable] = f"{os.environ.get(variable, '')} {flag}".strip()


def _leave() -> None:
    """Keeps new programs and removes this process's folder."""
    own = _own()
    if own is not None:
        keep()
        shutil.rmtree(own, ignore_errors=True)


def _clean(root: pathlib.Path, limit: float) -> None:
    """Removes folders of ended processes, and then the oldest files above `limit`."""
    for folder in root.glob("*/own-*"):
        _, _, name = folder.name.partition("own-")
        host, _, process = name.rpartition("-")
        if host == socket.gethostname():
            gone = not os.path.exists(f"/proc/{process}") and not _runs(int(process))
        else:
            gone = time.time() - folder.stat().st_mtime > _ABANDONED_SECONDS
        if gone:
            shutil.rmtree(folder, ignore_errors=True)
    found = []
    for pattern in ("*/*.pb", "*/autotune/*"):
        for path in root.glob(pattern):
            status = path.stat()
            found.append((max(status.st_atime, status.st_mtime), status.st_size, path))
    total = sum(size for _, size, _ in found)
    for _, size, path in sorted(found):
        if total <= limit:
            break
        path.unlink(missing_ok=True)
        total -= size


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _link(source: pathlib.Path, target: pathlib.Path) -> None:
    """Gives a complete file a second name, in one move."""
    try:
        os.link(source, target)
    except FileExistsError:
        pass
    except OSError:
        # The disk does not support links.
        beside = target.with_name(f"{target.name}.{os.getpid()}")
        shutil.copyfile(source, beside)
        os.replace(beside, target)


def _is_whole(path: pathlib.Path) -> bool:
    """Returns whether a file is a complete protocol buffer of three fields."""
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        fields = set()
        while file.tell() < size:
            tag, length = _number(file.read), _number(file.read)
            if tag is None or length is None or tag & 7 != 2:
                return False
            fields.add(tag >> 3)
            file.seek(length, os.SEEK_CUR)
        # Its key, its instructions, the program.
        return file.tell() == size and {1, 2, 3} <= fields


def _number(read: Callable[[int], bytes]) -> int | None:
    """Reads a number of variable length; None if the file ends."""
    value = shift = 0
    while byte := read(1):
        value |= (byte[0] & 127) << shift
        if byte[0] < 128:
            return value
        shift += 7
    return None
