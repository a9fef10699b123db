"""No option of a plugin uses float64 in the step, because a TPU does not have it.

`test_conformance.py` tests all laws with one row of options per plugin. Here the other
paths through the code are traced, but not run, to test this law.
"""

from __future__ import annotations

import inspect

import pytest

import sslkit.plugins
from sslkit.optimize.adam import Adam
from sslkit.testing import laws_of

FNC = {"support": 2, "bank": 6, "topk": 2, "projection_layers": 2, "projection_dim": 8}

OPTIONS = [
    ("augmentations", "crop_flip", {"size": 8, "flip": False, "kernel": "modern"}),
    (
        "augmentations",
        "fnc",
        {"size": 24, "support": 1, "placement": "host", "kernel": "modern"},
    ),
    (
        "augmentations",
        "simclr",
        {"size": 24, "placement": "host", "kernel": "modern", "strength": 0.0},
    ),
    (
        "augmentations",
        "multi_crop",
        {
            "size": 24,
            "local": 1,
            "local_size": 12,
            "kernel": "modern",
            "placement": "host",
        },
    ),
    ("backbones", "convnet", {"filters": (4, 8)}),
    (
        "backbones",
        "vit",
        {"width": 8, "depth": 1, "heads": 2, "patch": 4, "pool": "mean"},
    ),
    (
        "backbones",
        "resnet",
        {"depth": 18, "stem": "imagenet", "cross_replica": False},
    ),
    pytest.param(
        *("backbones", "resnet", {"depth": 50, "sk_ratio": 0.25}),
        marks=pytest.mark.slow,  # 50 layers; there are none of fewer.
    ),
    ("backbones", "resnet", {"depth": 18, "se_ratio": 0.25, "dropblock_size": 3}),
    (
        "objectives",
        "fnc",
        {**FNC, "decay_schedule": "cosine", "momentum_init": "copy"},
    ),
    (
        "objectives",
        "fnc",
        {
            **FNC,
            "detection": "quantile",
            "quantile": 0.8,
            "bank_fill": "lazy",
            "aggregate": "mean",
            "measure_detection": True,
            "block": 8,
        },
    ),
    (
        "objectives",
        "fnc",
        {
            **FNC,
            "detection": "oracle",
            "bank": 0,
            "support_role": "support",
            "support_encoder": "momentum",
            "false_negatives": "eliminate",
        },
    ),
    ("objectives", "byol", {"hidden": 6, "dim": 4, "decay_schedule": "constant"}),
    (
        "objectives",
        "fnc",
        {
            **FNC,
            "detection_start": 0.5,
            "final_threshold": 0.1,
            "detection_schedule": "cosine",
        },
    ),
    (
        "objectives",
        "dino",
        {"hidden": 6, "dim": 4, "prototypes": 6, "decay_schedule": "constant"},
    ),
    ("objectives", "moco_v3", {"hidden": 6, "dim": 4, "decay_schedule": "cosine"}),
    ("objectives", "simclr", {"views": 4, "projection_layers": 2, "block": 4}),
    (
        "objectives",
        "supervised",
        {"classes": 6, "projection_layer": 1, "train_projection": True},
    ),
    (
        "objectives",
        "supervised",
        {"classes": 6, "fine_tune_after_block": 4, "zero_init": True},
    ),
    (
        "optimizers",
        "adam",
        {"weight_decay": 0.1, "decoupled": True, "no_decay": ()},
    ),
    (
        "optimizers",
        "lars",
        {"nesterov": True, "classic_momentum": False, "no_adaptation": ()},
    ),
    ("optimizers", "by_layer", {"of": Adam(), "decay": 0.5, "blocks": r"block_(\d+)/"}),
    ("optimizers", "clipped", {"of": Adam(), "norm": 0.5, "by": "weight"}),
    ("optimizers", "momentum", {"nesterov": False, "no_decay": ()}),
    ("schedules", "constant", {"base": 0.1, "scaling": "sqrt"}),
    ("schedules", "cosine", {"base": 0.1, "scaling": "linear", "warmup_epochs": 0.0}),
]


def law(kind, name, options):
    laws = laws_of(sslkit.plugins.load(kind, name), **options)
    return next(case for case in laws if case.name == "computes_without_float64")


@pytest.mark.parametrize(("kind", "name", "options"), OPTIONS)
def test_computes_in_float32(kind, name, options):
    law(kind, name, options)()


def test_no_choice_between_words_is_left_out():
    """A new choice of an option is a new path through the code: add a row."""
    rows = [getattr(row, "values", row) for row in OPTIONS]
    tried = {(kind, name, key) for kind, name, options in rows for key in options}
    for plugin in sslkit.plugins.installed():
        if plugin.kind in ("reporters", "runners", "sources"):
            continue
        made = sslkit.plugins.load(plugin.kind, plugin.name)
        for key, parameter in inspect.signature(made).parameters.items():
            chosen = isinstance(parameter.default, str) and key != "name"
            assert not chosen or (plugin.kind, plugin.name, key) in tried, (
                f"no row of {plugin.title} sets {key}"
            )
