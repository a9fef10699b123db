"""Which weights an optimizer leaves out, said as patterns over their paths."""

from __future__ import annotations

import re
from collections.abc import Sequence

NORMALISATION = r"(^|/)(gamma|beta)$"
"""Scale and shift of normalisation layers."""
BIAS = r"(^|/)bias$"
CLASSIFIER = r"(^|/)classifier/"
"""The supervised head."""


def matches(path: str, patterns: Sequence[str]) -> bool:
    """Returns whether any pattern is found in a weight's path.

    Args:
        path: a weight's name, e.g. `encoder/stem/conv/kernel`.
        patterns: regular expressions, searched, not anchored.
    """
    return any(re.search(pattern, path) for pattern in patterns)
