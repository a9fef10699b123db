"""Reading a run's files, on a disk or, with TensorFlow, in a bucket."""

from __future__ import annotations

import os

from sslkit.errors import UserError, first_line


def names(folder: str) -> list[str] | None:
    """Returns the names in a folder, sorted; None if the folder does not exist.

    Raises:
        UserError: if it cannot be read.
    """
    if _remote(folder):
        from sslkit import storage

        with storage.reaching("the workdir", folder):
            found = storage.names(folder)
        return found or None
    try:
        return sorted(os.listdir(folder))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise UserError(
            f"the workdir {folder} cannot be read: {first_line(error)}."
        ) from error


def text(path: str) -> str:
    """Returns the text of a file; bytes that are not UTF-8 are replaced by a mark.

    Raises:
        UserError: if it cannot be read.
    """
    if _remote(path):
        import tensorflow as tf

        from sslkit import storage

        with storage.reaching("the file", path), tf.io.gfile.GFile(path, "rb") as file:
            return file.read().decode(errors="replace")
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError as error:
        raise UserError(f"{path} cannot be read: {first_line(error)}.") from error


def _remote(path: str) -> bool:
    return "://" in path
