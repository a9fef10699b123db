"""Which weights an optimizer leaves out, as patterns for their paths."""

from __future__ import annotations

import re
from collections.abc import Sequence

from sslkit.errors import UserError, near_names

NORMALISATION = r"(^|/)(gamma|beta)$"
"""Scale and shift of normalisation layers."""
BIAS = r"(^|/)bias$"
CLASSIFIER = r"(^|/)classifier/"
"""The supervised head."""


NAMED = (NORMALISATION, BIAS, CLASSIFIER)
"""Patterns for kinds of layers; a network need not have them."""


def given(option: str, patterns: Sequence[str]) -> tuple[str, ...]:
    """Checks and returns the patterns of an option.

    Raises:
        UserError: if one of them is not a regular expression.
    """
    for pattern in patterns:
        try:
            re.compile(pattern)
        except (re.error, TypeError) as error:
            raise UserError(
                f"{option}: {pattern!r} is not a regular expression: {error}."
            ) from error
    return tuple(patterns)


def check_matches(option: str, patterns: Sequence[str], paths: Sequence[str]) -> None:
    """Refuses a pattern that matches no path, unless it is one of `NAMED`.

    Args:
        option: the option's name, for the message.
        patterns: see `matches`.
        paths: the weights that a run trains.

    Raises:
        UserError: naming the pattern and paths that are similar to it.
    """
    for pattern in patterns:
        if pattern not in NAMED and not any(re.search(pattern, p) for p in paths):
            raise UserError(
                f"{option}: the pattern {pattern!r} matches none of the "
                f"{len(paths)} weights that are trained, such as "
                f"{near_names(pattern, paths)}."
            )


def matches(path: str, patterns: Sequence[str]) -> bool:
    """Returns whether any pattern is found in a weight's path.

    Args:
        path: a weight's name, e.g. `encoder/stem/conv/kernel`.
        patterns: regular expressions, which may match anywhere in the path.
    """
    return any(re.search(pattern, path) for pattern in patterns)
