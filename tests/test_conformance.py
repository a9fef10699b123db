"""All laws for every installed plugin of the core and of this repository."""

from __future__ import annotations

import pytest

import sslkit.plugins
from sslkit.optimize.adam import Adam
from sslkit.optimize.momentum import Momentum
from sslkit.testing import laws_of, style_laws_of

# With this threshold, false negatives are found among untrained embeddings, too.
FNC = {"threshold": 0.2, "projection_layers": 2, "projection_dim": 8}

# One row per case: kind, name, and constructor keywords. A new plugin is one row; there
# are more rows if options use other paths through the code.
CASES = [
    ("augmentations", "crop_flip", {"size": 8}),
    ("augmentations", "fnc", {"size": 24, "support": 1}),
    ("augmentations", "multi_crop", {"size": 24, "local_size": 20, "local": 2}),
    ("augmentations", "simclr", {"size": 24}),
    ("backbones", "convnet", {}),
    ("backbones", "keras", {"network": "ResNet50"}),
    ("backbones", "resnet", {"depth": 18, "dropblock_keep_prob": 0.8}),
    (
        "backbones",
        "vit",
        {"width": 8, "depth": 2, "heads": 2, "patch": 4, "drop_path": 0.5},
    ),
    ("evaluations", "few_labels", {"labels": (1, 3), "draws": 2}),
    ("evaluations", "knn", {"neighbours": (5, 20)}),
    ("evaluations", "linear", {}),
    ("evaluations", "logits", {}),
    ("objectives", "barlow", {"dim": 6}),
    ("objectives", "byol", {"hidden": 6, "dim": 4}),
    ("objectives", "dcl", {"dim": 6, "sigma": 0.5}),
    (
        "objectives",
        "dino",
        {"local": 1, "hidden": 6, "dim": 4, "prototypes": 5, "freeze_steps": 2},
    ),
    ("objectives", "fnc", {**FNC, "support": 2, "topk": 2, "bank": 6}),
    (
        "objectives",
        "fnc",
        {**FNC, "support": 0, "bank": 0, "false_negatives": "eliminate"},
    ),
    (
        "objectives",
        "fnc",
        {**FNC, "support": 1, "bank": 3, "detection": "glofnd", "quantile": 0.5},
    ),
    (
        "objectives",
        "fnc",
        {**FNC, "support": 0, "bank": 0, "detection": "glofnd", "quantile": 0.5},
    ),
    ("objectives", "moco_v2", {"dim": 6, "bank": 2}),
    ("objectives", "moco_v3", {"hidden": 6, "dim": 4}),
    ("objectives", "nnclr", {"bank": 2, "hidden": 6, "dim": 4, "predictor_hidden": 6}),
    ("objectives", "simclr", {"projection_layers": 2, "projection_dim": 8}),
    ("objectives", "simsiam", {"hidden": 6, "dim": 6}),
    ("objectives", "supcon", {"dim": 6}),
    ("objectives", "supervised", {"classes": 6}),
    (
        "objectives",
        "swav",
        # With 6 hidden units all of them are 0 for some image, and so is its embedding:
        # in no precision has its direction a gradient that means anything.
        {"local": 1, "queue": 2, "hidden": 12, "dim": 4, "prototypes": 5}
        | {"freeze_steps": 2},
    ),
    ("objectives", "vicreg", {"dim": 6}),
    ("optimizers", "adam", {"weight_decay": 0.1}),
    ("optimizers", "adamw", {"weight_decay": 0.04, "final_weight_decay": 0.4}),
    ("optimizers", "by_layer", {"of": Adam(), "decay": 0.5}),
    ("optimizers", "by_path", {"of": Adam(), "rates": {"^head/": 0.1}}),
    ("optimizers", "clipped", {"of": Adam(), "norm": 0.5}),
    (
        "optimizers",
        "decayed",
        {
            "of": Momentum(),
            "weight_decay": 0.1,
            "final_weight_decay": 0.2,
            "decoupled": False,
        },
    ),
    ("optimizers", "lars", {"weight_decay": 0.1}),
    ("optimizers", "momentum", {"weight_decay": 0.1}),
    ("reporters", "metrics_file", {}),
    ("reporters", "tensorboard", {}),
    # Tested in tests/reporters with a replacement of the package; skipped here without
    # it.
    ("reporters", "wandb", {"project": "p"}),
    ("runners", "mirrored", {"replicas": 2}),
    # Really run in tests/runners; skipped here, because their devices are missing.
    ("runners", "multiworker", {"workers": ["127.0.0.1:1"], "index": 0}),
    ("runners", "single", {"device": "CPU:0", "jit": True}),
    ("runners", "tpu", {"name": "grpc://127.0.0.1:1", "connect_seconds": 1}),
    ("schedules", "constant", {"base": 0.1}),
    ("schedules", "cosine", {"base": 0.1, "warmup_epochs": 1}),
    ("sources", "digits", {}),
]

ELSEWHERE = {("sources", name) for name in ("arrays", "folder", "huggingface", "tfds")}
"""Under all laws in tests/data, which makes the files they read."""

FAMILY = {
    *("barlow", "byol", "dcl", "dino", "moco_v2", "moco_v3", "nnclr", "simsiam"),
    *("supcon", "swav", "vicreg"),
}
"""Objectives made of what FNC, with a bank and a twin, is under all laws for."""

OF_THEIR_OWN = (
    "gradient_equals_finite_differences",
    "docstrings_explain_every_parameter",
    "docstring_cites_its_source",
)
"""Laws about what such an objective adds, its loss; the others are slow for it, as they
are for FNC without a bank."""

GLOBAL = ("barlow", "dino", "supcon", "swav", "vicreg")
"""Those of them whose loss is made of the whole global batch in a way of its own."""

SLOW = {
    # A minute of tracing 175 layers for two replicas. Their normalisation is that of
    # the other backbones, which are under this law by default; that none of Keras' own
    # is left is in tests/nn/test_applications.py.
    "backbones.keras-encodes_the_same_on_two_replicas",
    # 175 layers are traced for each; the other backbones are under these by default.
    "backbones.keras-computes_without_float64",
    "backbones.keras-does_not_change_when_frozen",
    # Its layers are those of convnet, which is under this law by default; they are held
    # to their formula on two replicas in tests/nn/test_batch_norm.py.
    "backbones.resnet-encodes_the_same_on_two_replicas",
    # Has no statistics of a batch.
    "backbones.vit-encodes_the_same_on_two_replicas",
    # The views of fnc, simclr and multi_crop are made by one class, whose two forms
    # and places tests/views compares; by default each is under some of these.
    "augmentations.fnc-finishes_batches_the_same_on_two_replicas",
    "augmentations.simclr-finishes_batches_the_same_on_two_replicas",
    "augmentations.fnc-makes_the_same_views_on_a_gpu_as_on_a_cpu",
    "augmentations.multi_crop-stays_in_the_unit_interval",
    "augmentations.multi_crop-gives_the_same_views_for_a_seed",
    "augmentations.multi_crop-runs_in_tf_data",
    "augmentations.fnc-stays_in_the_unit_interval",
    "augmentations.simclr-makes_the_same_views_on_a_gpu_as_on_a_cpu",
    "augmentations.simclr-stays_in_the_unit_interval",
    # 175 layers, built for each precision.
    "backbones.keras-gives_one_vector_per_image",
    "backbones.keras-is_deterministic",
    # In tests/views/test_programs.py the same batches are looked at, and whole.
    "augmentations.fnc-computes_without_float64",
    "augmentations.multi_crop-computes_without_float64",
    "augmentations.simclr-computes_without_float64",
    # By the same class as fnc, which compiles for seconds.
    "augmentations.simclr-gives_the_same_views_for_a_seed",
    "augmentations.simclr-runs_in_tf_data",
    # Its draws in a step are in tests/nn/test_applications.py.
    "backbones.keras-draws_the_same_in_the_same_step",
    # By the same class as fnc; both of its sizes are in tests/views.
    "augmentations.multi_crop-finishes_batches_the_same_on_two_replicas",
    "augmentations.multi_crop-makes_the_same_views_on_a_gpu_as_on_a_cpu",
    # Without a bank, by default.
    "objectives.fnc-detectionglofnd-bank3-replicas_do_not_change_the_result",
    # Each replica is a further copy of the graph. All that objectives do with the
    # others, gather, mean, statistics, bank, FNC with a bank does on two by default;
    # on four the published replicas do, in plugins/fnc/tests.
    "objectives.fnc-bank6-four_replicas_do_the_same_as_two",
    "objectives.simclr-replicas_do_not_change_the_result",
    "objectives.simclr-replicas_stay_equal",
    "objectives.simclr-four_replicas_do_the_same_as_two",
    "objectives.supervised-four_replicas_do_the_same_as_two",
    # XLA compiles its loss as a part of FNC's.
    "objectives.simclr-jit_does_not_change_the_result",
    # It is what the other runners are compared with.
    "runners.single-trains_as_single_does",
}


def judged():
    for kind, name, options in CASES:
        telling = [key for key in ("detection", "bank") if key in options]
        extra = "".join(f"-{key}{options[key]}" for key in telling)
        plugin = sslkit.plugins.load(kind, name)
        for law in [*laws_of(plugin, **options), *style_laws_of(plugin, **options)]:
            case = f"{kind}.{name}{extra}-{law.name}"
            replicas = law.name == "replicas_do_not_change_the_result"
            own = law.name in OF_THEIR_OWN or (name in GLOBAL and replicas)
            # Another policy has other state, and the same loss.
            again = "detection" in options and not replicas
            less = name in FAMILY or options.get("bank") == 0
            inherited = less and not own if "detection" not in options else again
            slow = case in SLOW or inherited
            marks = pytest.mark.slow if slow else ()
            yield pytest.param(law, id=case, marks=marks)


@pytest.mark.parametrize("law", list(judged()))
def test_law(law):
    law()


def test_what_is_slow_is_a_law():
    assert {case.id for case in judged()} >= SLOW


def test_no_plugin_is_without_law():
    """Fails for an installed plugin that has no row: add one."""
    visited = {(kind, name) for kind, name, _ in CASES} | ELSEWHERE
    missed = [
        plugin.title
        for plugin in sslkit.plugins.installed()
        if (plugin.kind, plugin.name) not in visited
    ]
    assert not missed, f"add to CASES in {__file__}: {', '.join(missed)}"
