"""Comparing two resolved configurations."""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence

from sslkit import plugins
from sslkit.config.reading import read_text
from sslkit.config.renaming import current


def difference(
    old: str, new: str, *, ignore: Sequence[str] = (), name: str = "there"
) -> list[str]:
    """Lists the differences between two resolved configurations.

    A name that has changed is not a difference: both texts are read with new names.

    Args:
        old: gin text without includes, e.g. the `config.gin` of a workdir.
        new: the text to compare with it.
        name: the name of the old text, for errors.
        ignore: patterns of keys that may differ, e.g. `train.workdir`, `runners.*`.

    Returns:
        A line for each key that differs, sorted, e.g. `train.epochs: 5 there, 8 here`;
        empty if there is no difference.

    Raises:
        UserError: if either text is not gin.
    """
    installed = plugins.installed()
    there, here = _values(old, name, installed), _values(new, "here", installed)
    lines = []
    for key in sorted(there.keys() | here.keys()):
        if any(fnmatch.fnmatchcase(key, pattern) for pattern in ignore):
            continue
        if there.get(key) != here.get(key):
            lines.append(
                f"{key}: {there.get(key, 'not set')} there, "
                f"{here.get(key, 'not set')} here"
            )
    return lines


def _values(
    text: str, name: str, installed: Sequence[plugins.Plugin]
) -> dict[str, str]:
    bindings = current(read_text(text, name), installed, warn=False)
    return {binding.key: repr(binding.value) for binding in bindings}
