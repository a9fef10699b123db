"""What an argument may be: ranges in signatures, and the check of values against them.

A constructor says in its annotations what it takes. Recipes are checked against them
before anything is imported, and `checked` holds Python callers to the same.
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
