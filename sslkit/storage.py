"""Files on a disk or in a bucket: written completely or not at all; errors in a line.

No path from a user is interpreted as a pattern: folders are listed, and names compared
here. Readers of TensorFlow that interpret patterns get another name; see `plainly`.
"""

from __future__ import annotations

import contextlib
import errno
import os
import pathlib
import re
import shutil
import tempfile
import uuid
from collections.abc import Iterator

import tensorflow as tf

from sslkit.errors import UserError, first_line

_BUCKET = (
    " Log in with `gcloud auth application-default login`, or set "
    "GOOGLE_APPLICATION_CREDENTIALS, and check that the bucket exists and that you may "
    "use."
)
_PATTERN = re.compile(r"[*?\[\\]")
"""Characters that TensorFlow's file systems interpret as part of a pattern."""
_ASIDE = ".partial-"


@contextlib.contextmanager
def reaching(what: str, path: str, *, verb: str = "read") -> Iterator[None]:
    """Turns errors of a file system into one line for the user.

    Args:
        what: a noun for the path, e.g. `the workdir`.
        path: where it is.
        verb: the action inside: `read` or `written`.

    Raises:
        UserError: naming the path and, for a bucket, how to get access to it.
    """
    try:
        yield
    except (tf.errors.OpError, OSError) as error:
        hint = _BUCKET if path.startswith("gs://") else ""
        raise UserError(
            f"{what} {path} cannot be {verb}: {first_line(error)}.{hint}"
        ) from error


def on_disk(path: str | os.PathLike[str]) -> pathlib.Path:
    """Returns the absolute path of something that is written to a disk.

    Raises:
        UserError: if it is in a bucket, where a folder cannot be replaced in one move.
    """
    if is_remote(path):
        raise UserError(
            f"{os.fspath(path)} is not on a disk. Write to one, and copy it with "
            "`gcloud storage cp -r`."
        )
    return pathlib.Path(path).absolute()


def is_remote(path: str | os.PathLike[str]) -> bool:
    """Returns whether a path is in a bucket, not on a disk of this machine."""
    return "://" in os.fspath(path)


def names(folder: str) -> list[str]:
    """Returns the names in a folder, sorted; none if there is no such folder."""
    try:
        found = tf.io.gfile.listdir(folder)
    except tf.errors.NotFoundError:
        return []
    # Some file systems end the name of a folder with a slash.
    return sorted(name.rstrip("/") for name in found)


def is_pattern(path: str | os.PathLike[str]) -> bool:
    """Returns whether TensorFlow's readers would interpret a path as a pattern."""
    return _PATTERN.search(os.fspath(path)) is not None


@contextlib.contextmanager
def plainly(path: str) -> Iterator[str]:
    """Yields another name of a path, for readers that would interpret it as a pattern.

    TensorFlow finds the files of a checkpoint, or of a SavedModel, by a pattern made of
    their name, so for `lr[12]` it would find those of `lr1`. The other name has links
    to the same files; files in a bucket are copied.

    Args:
        path: of a folder; or the prefix of a checkpoint, whose files have this name, a
            full stop and more.

    Yields:
        The path itself if it has no such characters; else a name that exists within the
        context.
    """
    if not is_pattern(path):
        yield path
        return
    folder, own = os.path.split(path)
    with tempfile.TemporaryDirectory(prefix="sslkit-") as place:
        plain = os.path.join(place, "plain")
        for name in names(folder):
            if name == own or name.startswith(f"{own}."):
                source = os.path.join(folder, name)
                _stand_in(source, plain + name.removeprefix(own))
        yield plain


def _stand_in(source: str, target: str) -> None:
    if not is_remote(source):
        os.symlink(os.path.abspath(source), target)
    elif not tf.io.gfile.isdir(source):
        tf.io.gfile.copy(source, target)
    else:
        os.mkdir(target)
        for name in names(source):
            _stand_in(os.path.join(source, name), os.path.join(target, name))


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[str]:
    """Yields a temporary name for a file, which replaces the path in one move.

    After an error, the earlier file is still there, and the temporary one is removed.

    Args:
        path: of a file; its folder is made if it is missing.

    Yields:
        A name with the same ending as the path.
    """
    target = os.fspath(path)
    aside = beside(target)
    folder = os.path.dirname(target)
    if folder:
        tf.io.gfile.makedirs(folder)
    try:
        yield aside
        flush(aside)
        tf.io.gfile.rename(aside, target, overwrite=True)
        flush_names(folder)
    except BaseException:
        with contextlib.suppress(tf.errors.OpError):
            tf.io.gfile.remove(aside)
        raise


@contextlib.contextmanager
def replacing_folder(path: pathlib.Path) -> Iterator[pathlib.Path]:
    """Yields a temporary name for a folder, which then replaces the folder.

    After an error, the folder is completely the old or the new one.

    Args:
        path: of a folder on a disk, which may exist; its parent is made if it is
            missing.
    """
    aside = pathlib.Path(beside(str(path)))
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield aside
        if not path.exists():
            aside.rename(path)
            return
        earlier = pathlib.Path(beside(str(path)))
        path.rename(earlier)
        aside.rename(path)
        shutil.rmtree(earlier)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def flush(path: str) -> None:
    """Waits until a file is on its disk; in a bucket it is complete when closed."""
    if not is_remote(path):
        with open(path, "rb") as file:
            os.fsync(file.fileno())


def flush_names(folder: str) -> None:
    """Waits until renamed files in a folder have their new names on the disk."""
    if is_remote(folder):
        return
    opened = os.open(folder or ".", os.O_RDONLY)
    try:
        os.fsync(opened)
    except OSError as error:
        # Not all file systems do that for folders.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EBADF):
            raise
    finally:
        os.close(opened)


def beside(path: str) -> str:
    """Returns a new name in the same folder, with the same ending as a path."""
    folder, name = os.path.split(path)
    return os.path.join(folder, f"{_ASIDE}{uuid.uuid4().hex[:8]}-{name}")


def is_beside(name: str) -> bool:
    """Returns whether a name is one of `beside`, left by a process that was killed."""
    return name.startswith(_ASIDE)
