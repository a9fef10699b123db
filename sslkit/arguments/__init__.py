"""Checks of arguments: ranges in signatures, and whether values are within them.

The annotations of a constructor say what it takes. Recipes are checked against them
before anything is imported, and `checked` does the same for calls in Python.
"""

from sslkit.arguments.checking import check_folder, checked
from sslkit.arguments.ranges import (
    Cosine,
    HalfOpenShare,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    PositiveShare,
    Range,
    Seed,
    Share,
)

__all__ = [
    "Cosine",
    "HalfOpenShare",
    "NonNegativeFloat",
    "NonNegativeInt",
    "PositiveFloat",
    "PositiveInt",
    "PositiveShare",
    "Range",
    "Seed",
    "Share",
    "check_folder",
    "checked",
]
