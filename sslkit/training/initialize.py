"""Starting a run from weights of another run."""

from __future__ import annotations

import re
from collections.abc import Sequence

from sslkit.api import UserError
from sslkit.checkpoints import Table, assign, find_checkpoint, read
from sslkit.errors import near_names
from sslkit.published.transfer import is_published, restore_published


def initialize(
    table: Table, path: str, patterns: Sequence[str], schema: str | None = None
) -> str:
    """Sets part of a table from the checkpoint of another run, by name.

    Args:
        table: this run's variables, in the order of construction.
        path: see `sslkit.checkpoints.find_checkpoint`.
        patterns: regular expressions; a name that one of them matches at its start is
            restored, and must be in the checkpoint in the same shape.
        schema: for a published checkpoint, used instead of the patterns; see
            `restore_published`.

    Returns:
        Text saying what was set and what kept its initial value.

    Raises:
        UserError: if a pattern matches nothing, or a name is missing in the checkpoint.
    """
    prefix = find_checkpoint(path)
    reader = read(prefix)
    published = is_published(reader.get_variable_to_shape_map(), prefix)
    if schema is not None and not published:
        raise UserError(
            f"train.variable_schema is for checkpoints of the published TensorFlow 1 "
            f"code, and {prefix} is one of sslkit. Use train.restore."
        )
    if schema is None:
        _check_patterns(table, patterns)
    if published:
        return restore_published(
            table, reader, prefix, patterns=patterns, schema=schema
        )
    wanted = {
        name: variable
        for name, variable in table.items()
        if any(re.match(pattern, name) for pattern in patterns)
    }
    missing = [name for name in wanted if not reader.has_tensor(name)]
    if missing:
        raise UserError(
            f"{prefix} lacks {len(missing)} of {len(wanted)} variables to restore, "
            f"first {missing[0]!r}. Is it a checkpoint of another model? "
            "train.restore says what is restored."
        )
    assign(wanted, reader, prefix)
    others = sorted({name.split("/")[0] for name in set(table) - set(wanted)})
    return (
        f"initialised {len(wanted)} variables from {prefix}; "
        f"from scratch: {', '.join(others) or 'none'}"
    )


def _check_patterns(table: Table, patterns: Sequence[str]) -> None:
    if not patterns:
        raise UserError(
            "train.restore is empty, so nothing would be taken from train.initialize. "
            "Bind it to patterns, e.g. ('encoder/',), or leave train.initialize out."
        )
    for pattern in patterns:
        try:
            re.compile(pattern)
        except re.error as error:
            raise UserError(
                f"train.restore: {pattern!r} is not a regular expression: {error}."
            ) from error
        if not any(re.match(pattern, name) for name in table):
            raise UserError(
                f"train.restore: the pattern {pattern!r} matches the start of no "
                f"variable's name. Near it: {near_names(pattern, list(table))}; names "
                f"start with {', '.join(sorted({n.split('/')[0] for n in table}))}."
            )
