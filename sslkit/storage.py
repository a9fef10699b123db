"""Files on a disk or in a bucket: whole or not there, and one line where out of reach.

No path that a user gives is taken for a pattern: folders are listed, and names compared
here. What reads by patterns inside TensorFlow gets another name; see `plainly`.
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
    "GOOGLE_APPLICATION_CREDENTIALS, and check that the bucket exists and is yours to "
    "use."
)
_PATTERN = re.compile(r"[*?\[\\]")
"""What TensorFlow's file systems take for part of a pattern."""
_ASIDE = ".partial-"


@contextlib.contextmanager
def reaching(what: str, path: str, *, verb: str = "read") -> Iterator[None]:
    """Turns what a file system raises into one line for the user.

    Args:
        what: what the path is, e.g. `the workdir`.
        path: where it is.
        verb: what cannot be done with it: `read` or `written`.

    Raises:
        UserError: naming the path and, for a bucket, how to get at it.
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
    """Returns the names in a folder, sorted; none where there is no such folder."""
    try:
        found = tf.io.gfile.listdir(folder)
    except tf.errors.NotFoundError:
        return []
    # Some file systems end the name of a folder with a slash.
    return sorted(name.rstrip("/") for name in found)


def is_pattern(path: str | os.PathLike[str]) -> bool:
    """Returns whether TensorFlow's own readers would take a path for a pattern."""
    return _PATTERN.search(os.fspath(path)) is not None


@contextlib.contextmanager
def plainly(path: str) -> Iterator[str]:
    """Yields another name of a path for readers that would take it for a pattern.

    TensorFlow looks for the files of a checkpoint, or of a SavedModel, by a pattern
    made of their name, and so finds those of `lr1` where `lr[12]` was meant. The other
    name leads to the same files, by links; what is in a bucket is copied.

    Args:
        path: of a folder, or the prefix of a checkpoint, which is the files whose names
            go on with a full stop.

    Yields:
        The path itself if it is plain; else a name that holds while the context does.
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
    """Yields a name beside a path; what is written there takes its place in one move.

    A failure leaves what was there before, and nothing beside it.

    Args:
        path: of a file; the folder that it is in is made.

    Yields:
        A name that ends as the path does.
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
    """Yields a name beside a folder; what is made there takes its place.

    A failure leaves one of the two whole under the folder's name.

    Args:
        path: of a folder on a disk, which may exist; the one that it is in is made.
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
    """Waits until a file is on its disk; a bucket has it whole once it is closed."""
    if not is_remote(path):
        with open(path, "rb") as file:
            os.fsync(file.fileno())


def flush_names(folder: str) -> None:
    """Waits until what was renamed in a folder is on its disk under the new names."""
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
    """Returns a new name in the same folder that ends as a path does."""
    folder, name = os.path.split(path)
    return os.path.join(folder, f"{_ASIDE}{uuid.uuid4().hex[:8]}-{name}")


def is_beside(name: str) -> bool:
    """Returns whether `beside` made a name, which a process that died has left."""
    return name.startswith(_ASIDE)
