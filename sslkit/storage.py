"""Files on a disk or in a bucket: one line where they cannot be reached."""

from __future__ import annotations

import contextlib
import os
import pathlib
from collections.abc import Iterator

import tensorflow as tf

from sslkit.errors import UserError

_BUCKET = (
    " Log in with `gcloud auth application-default login`, or set "
    "GOOGLE_APPLICATION_CREDENTIALS, and check that the bucket exists and is yours to "
    "use."
)


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
        reason = str(getattr(error, "message", error)).strip().partition("\n")[0]
        hint = _BUCKET if path.startswith("gs://") else ""
        raise UserError(
            f"{what} {path} cannot be {verb}: {reason.rstrip('.')}.{hint}"
        ) from error


def on_disk(path: str | os.PathLike[str]) -> pathlib.Path:
    """Returns the absolute path of something that is written to a disk.

    Raises:
        UserError: if it is in a bucket, where a folder cannot be replaced in one move.
    """
    if "://" in os.fspath(path):
        raise UserError(
            f"{os.fspath(path)} is not on a disk. Write to one, and copy it with "
            "`gcloud storage cp -r`."
        )
    return pathlib.Path(path).absolute()
