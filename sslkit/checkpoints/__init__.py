"""Checkpoints: files of named tensors, written completely or not at all.

A checkpoint is in TensorFlow's format, with the table's names as keys, so
`tf.train.load_checkpoint(prefix)` can read it without sslkit.
"""

from sslkit.checkpoints.files import (
    Assignable,
    Damaged,
    Table,
    assign,
    is_whole,
    read,
    read_note,
    restore,
    step_of,
    values_of,
    write,
)
from sslkit.checkpoints.keeping import Keep
from sslkit.checkpoints.store import CHECKPOINTS, Checkpoints, find_checkpoint

__all__ = [
    "CHECKPOINTS",
    "Assignable",
    "Checkpoints",
    "Damaged",
    "Keep",
    "Table",
    "assign",
    "find_checkpoint",
    "is_whole",
    "read",
    "read_note",
    "restore",
    "step_of",
    "values_of",
    "write",
]
