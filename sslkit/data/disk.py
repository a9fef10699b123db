"""A source whose decoded images are kept on disk, to decode them only once.

A cache is a folder of two files: `pixels`, all images one after the other, and
`table.npz`, the place of each. It is written under another name and renamed when it is
complete, so no run ever sees an incomplete cache. Its name depends on the data: if the
data changes, a new cache is made, and the old one is not used any more.
"""

from __future__ import annotations

import errno
import hashlib
import logging
import os
import pathlib
import re
import shutil
import uuid
import zipfile

import numpy as np
import tensorflow as tf

from sslkit.data import decoding
from sslkit.data.decoded import Decoded, Table, decode_all
from sslkit.data.records import cache_folder
from sslkit.errors import UserError
from sslkit.source import Source

__all__ = ["OnDisk"]

_log = logging.getLogger(__name__)

_PIXELS, _TABLE = "pixels", "table.npz"


class OnDisk(Decoded):
    """Reads and decodes a whole source once, and maps its pixels into memory.

    Processes of one machine share the memory pages that they read. If several processes
    find no cache, each makes one, and all use that of the first to finish.
    """

    def __init__(self, source: Source, *, cache_dir: str | None = None) -> None:
        """Finds the cache, or makes it.

        Args:
            source: the source whose images are kept.
            cache_dir: where caches are; $XDG_CACHE_HOME/sslkit or ~/.cache/sslkit
                unless given. Its file system must support mapping files into memory.

        Raises:
            UserError: if the cache cannot be written, or the source cannot tell whether
                its data has changed; see also `decode_all`.
        """
        if "://" in str(cache_dir):
            raise UserError(
                f"data.cache_dir is {cache_dir}, which cannot be mapped into memory; "
                "name a folder of this machine, or set data.cache = None"
            )
        folder = cache_folder(cache_dir) / "images" / _name(source)
        table = _load(folder)
        if table is None:
            _make(source, folder)
            table = _load(folder)
            if table is None:
                raise UserError(f"the cache {folder} is damaged; remove it")
        unread = np.flatnonzero(~table.read)
        if len(unread) and source.on_error == "raise":
            (broken,) = source.diagnose(unread.tolist(), limit=1)
            raise UserError(f"cannot read {broken}; repair or remove it")
        source.note(tf.constant(unread), tf.ones([len(unread)], tf.int64))
        super().__init__(source, table)
        self._bytes = _bytes(table)
        self._path = str(folder / _PIXELS)

    def pixels(self) -> tf.Tensor:
        """Returns the pixels of all images; see `Decoded.pixels`."""
        # The graph has the path, not a tensor of this process, so that it can be sent
        # to another process.
        return tf.raw_ops.ImmutableConst(
            dtype=tf.uint8, shape=[self._bytes], memory_region_name=self._path
        )


def _name(source: Source) -> str:
    """Returns a name for the folder that depends on the data from which it is made."""
    made_from = f"{source.identity()} {decoding.REVISION} {tf.__version__}"
    plain = re.sub(r"\W+", "_", source.name).strip("_")[-40:]
    return f"{plain}-{hashlib.sha256(made_from.encode()).hexdigest()[:16]}"


def _bytes(table: Table) -> int:
    return int(table.shapes.prod(axis=1, dtype=np.int64).sum())


def _load(folder: pathlib.Path) -> Table | None:
    """Returns the table of a complete cache, or None; a damaged one is removed."""
    if not folder.is_dir():
        return None
    try:
        with (
            open(folder / _TABLE, "rb") as handle,
            np.load(handle, allow_pickle=False) as file,
        ):
            table = Table(*(file[name] for name in Table._fields))
        whole = (folder / _PIXELS).stat().st_size == _bytes(table)
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile):
        whole = False
    if whole:
        return table
    _log.warning("the cache %s is damaged, and is made again", folder)
    shutil.rmtree(folder, ignore_errors=True)
    return None


def _make(source: Source, folder: pathlib.Path) -> None:
    beside = folder.with_name(f"{folder.name}.{uuid.uuid4().hex[:8]}.partial")
    written = 0
    try:
        beside.mkdir(parents=True)
        shapes, labels, read = [], [], []
        with open(beside / _PIXELS, "wb") as file:
            for image, label, ok in decode_all(source):
                file.write(image.tobytes())
                written += image.nbytes
                shapes.append(image.shape)
                labels.append(label)
                read.append(ok)
            file.flush()
            os.fsync(file.fileno())
        table = Table(
            np.array(shapes, np.int32), np.array(labels, np.int32), np.array(read)
        )
        np.savez(beside / _TABLE, **table._asdict())
        os.rename(beside, folder)
    except OSError as error:
        # Another process may have been faster: then its cache is used.
        if error.errno not in (errno.EEXIST, errno.ENOTEMPTY) or not folder.is_dir():
            raise UserError(
                f"the cache {folder} cannot be written ({error.strerror}, after "
                f"{written / 2**20:,.0f} MiB). Free some space, name another "
                "data.cache_dir, or set data.cache = None"
            ) from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)
