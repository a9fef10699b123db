"""The contract between sslkit and its plugins: all that a plugin author needs.

A plugin is a class of one of nine kinds, with an entry point in the group
`sslkit.<kind>`. Its constructor names every keyword, because recipes bind them by name,
and does no work: variables are made when the core calls the object symbolically inside
the runner's strategy scope. The annotations say which values a keyword accepts, with
`Literal` for choices and `PositiveInt`, `Share`, `Range` and the like for ranges.
Recipes are checked against them before anything is imported; the decorator `checked` on
the constructor does the same for calls in Python.
"""

from __future__ import annotations

import sslkit.keras_backend

sslkit.keras_backend.require_tensorflow()  # before TensorFlow imports Keras

from sslkit.arguments import (
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
    checked,
)
from sslkit.augmentation import Augmentation
from sslkit.backbone import Backbone, Freezable
from sslkit.batch import Batch, ViewGroup, Views
from sslkit.deprecation import renamed
from sslkit.errors import UserError
from sslkit.evaluation import Accuracy, Evaluation, Features, Score, accuracy
from sslkit.objective import Compared, Detected, Objective, Outcome
from sslkit.optimizer import Moved, Optimizer, Weight
from sslkit.replica import DeviceKind
from sslkit.reporter import Reporter, RunInfo
from sslkit.runner import Runner
from sslkit.schedule import Schedule
from sslkit.source import Source

__all__ = [
    "Accuracy",
    "Augmentation",
    "Backbone",
    "Batch",
    "Compared",
    "Cosine",
    "Detected",
    "DeviceKind",
    "Evaluation",
    "Features",
    "Freezable",
    "HalfOpenShare",
    "Moved",
    "NonNegativeFloat",
    "NonNegativeInt",
    "Objective",
    "Optimizer",
    "Outcome",
    "PositiveFloat",
    "PositiveInt",
    "PositiveShare",
    "Range",
    "Reporter",
    "RunInfo",
    "Runner",
    "Schedule",
    "Score",
    "Seed",
    "Share",
    "Source",
    "UserError",
    "ViewGroup",
    "Views",
    "Weight",
    "accuracy",
    "checked",
    "renamed",
]
