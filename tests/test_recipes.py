"""Every shipped recipe resolves, loads, has its header and its published values."""

from __future__ import annotations

import pathlib
import re

import pytest
from method_recipes import LIKE_SIMCLR, PUBLISHED

from sslkit import config

MUST_SET = {
    "train.initialize": "train.initialize = 'W'",
    "data.name": "data.name = 'folder:/photographs'",
}


def recipes(folder: pathlib.Path) -> list[pathlib.Path]:
    return sorted((folder / "gin").glob("*.gin"))


EVERY = recipes(pathlib.Path(__file__).parent.parent)
CHAINS = [path for path in EVERY if "\nstages." in path.read_text()]
RECIPES = [path for path in EVERY if path not in CHAINS]


def overrides(path: pathlib.Path) -> list[str]:
    """The settings that the recipe's comment lists under `Must set`."""
    comment = path.read_text().partition("include")[0]
    return [
        text for name, text in MUST_SET.items() if name in comment.split("Often")[0]
    ]


@pytest.mark.parametrize("path", CHAINS, ids=lambda path: path.stem)
def test_every_stage_resolves_and_starts_from_the_first(path):
    stages = config.read_stages([f"gin/{path.name}"])
    first, *others = (
        config.read_stage(stages, name, workdir="W") for name in stages.recipes
    )
    start = f"train.initialize = 'W/{next(iter(stages.recipes))}'"
    assert others
    assert all(start in stage.render() for stage in others)
    assert start not in first.render()


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_loads_with_what_its_comment_says_must_be_set(path, monkeypatch):
    monkeypatch.chdir(path.parent.parent)
    loaded = config.load([f"gin/{path.name}"], overrides(path))
    assert loaded.resolution.notes == ()
    training = loaded.train()
    objective = loaded.resolution.targets()
    assert any(target.startswith("objectives.") for target in objective)
    assert training.batch_size >= 1


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_what_follows_a_paper_is_float32_to_the_last_digit(path):
    resolved = config.read([f"gin/{path.name}"], overrides(path)).render()
    follows = "data.name = 'imagenet2012" in resolved
    assert ("train.tf32 = False" in resolved) is follows
    assert ("train.precision = 'float32'" in resolved) is follows


@pytest.mark.parametrize("path", EVERY, ids=lambda path: path.stem)
def test_is_a_document(path):
    comment = re.split(r"\n(?=include|stages)", path.read_text())[0]
    assert all(line.startswith("#") for line in comment.splitlines())
    for words in ("Must set:", "--workdir", f"sslkit train --gin gin/{path.name}"):
        assert words in comment
    if "linear" not in path.stem and not path.stem.startswith("digits_"):
        # A method has a source, and the differences from it are listed.
        assert re.search(r"arXiv:\d{4}\.\d{5}", comment)
        assert re.search(r"[Dd]iffers|Published", comment)


def resolved(name: str, *settings: str) -> dict[str, object]:
    found = config.read([f"gin/{name}.gin"], settings)
    return {binding.key: binding.value for binding in found.bindings}


# arXiv:2011.11765 and its released code.
FNC_R50 = {
    "data.name": "imagenet2012",
    "data.test": "validation",
    "train.batch_size": 4096,
    "train.epochs": 100,
    "backbones.resnet.depth": 50,
    "objectives.fnc.temperature": 0.1,
    "objectives.fnc.support": 8,
    "objectives.fnc.topk": 10,
    "objectives.fnc.threshold": 0.7,
    "objectives.fnc.bank": 16,
    "objectives.fnc.decay": 0.999,
    "objectives.fnc.momentum_init": "random",
    "objectives.fnc.false_negatives": "attract",
    "objectives.fnc.aggregate": "max",
    "augmentations.fnc.size": 224,
    "augmentations.fnc.support": 8,
    "augmentations.fnc.strength": 1.0,
    "augmentations.fnc.area_min": 0.08,
    "augmentations.fnc.randaugment_layers": 2,
    "augmentations.fnc.randaugment_magnitude": 7,
    "optimizers.lars.momentum": 0.9,
    "optimizers.lars.trust": 0.001,
    "optimizers.lars.weight_decay": 1e-4,
    "schedules.cosine.base": 0.1,
    "schedules.cosine.scaling": "sqrt",
    "schedules.cosine.warmup_epochs": 10,
}

# arXiv:2002.05709, appendix B.9, and the released code.
SIMCLR_CIFAR10_OPTIMISATION = {
    "data.name": "cifar10",
    "train.batch_size": 512,
    "backbones.resnet.depth": 18,
    "optimizers.lars.weight_decay": 1e-4,
    "schedules.cosine.base": 1.0,
    "schedules.cosine.scaling": "linear",
}
SIMCLR_CIFAR10 = {
    **SIMCLR_CIFAR10_OPTIMISATION,
    "train.epochs": 1000,
    "objectives.simclr.temperature": 0.5,
    "augmentations.simclr.size": 32,
    "augmentations.simclr.strength": 0.5,
    "augmentations.simclr.blur": False,
}


FNC_LINEAR = {
    "data.name": "imagenet2012",
    "data.test": "validation",
    "train.batch_size": 1024,
    "train.epochs": 90,
    "optimizers.momentum.momentum": 0.9,
    "optimizers.momentum.nesterov": True,
    "optimizers.momentum.weight_decay": 0.0,
    "schedules.cosine.base": 0.005,
    "schedules.cosine.scaling": "sqrt",
    "schedules.cosine.warmup_epochs": 0,
    "objectives.supervised.fine_tune_after_block": 4,
    "objectives.supervised.zero_init": True,
    "objectives.supervised.classes": 1000,
    "train.restore": ("encoder/",),
}

FNC_FINE_TUNE = {
    "data.test": "validation",
    "train.batch_size": 1024,
    "train.epochs": 60,
    "optimizers.lars.weight_decay": 0.0,
    "schedules.cosine.base": 0.005,
    "schedules.cosine.scaling": "sqrt",
    "schedules.cosine.warmup_epochs": 0,
    "objectives.supervised.fine_tune_after_block": -1,
    "objectives.supervised.projection_layer": 1,
    "objectives.supervised.zero_init": True,
    "train.restore": ("encoder/", "projection/"),
}

# arXiv:2006.10029; its 10% and 100% take 30 epochs, its 100% the encoder's features.
SIMCLR_10PCT = {**FNC_FINE_TUNE, "train.epochs": 30}
SIMCLR_100PCT = {
    **SIMCLR_10PCT,
    "objectives.supervised.projection_layer": 0,
    "train.restore": ("encoder/",),
}

# arXiv:2002.05709, appendix B.5.
SIMCLR_V1_FINE_TUNE = {
    "data.test": "validation",
    "train.batch_size": 4096,
    "train.epochs": 30,
    "optimizers.momentum.momentum": 0.9,
    "optimizers.momentum.nesterov": True,
    "optimizers.momentum.weight_decay": 0.0,
    "schedules.cosine.base": 0.05,
    "schedules.cosine.scaling": "linear",
    "schedules.cosine.warmup_epochs": 0,
    "objectives.supervised.fine_tune_after_block": -1,
    "objectives.supervised.projection_layer": 0,
    "objectives.supervised.zero_init": True,
    "train.restore": ("encoder/",),
}

# arXiv:2002.05709, table B.3 (90 epochs, crops); arXiv:1706.02677.
SUPERVISED = {
    "data.name": "imagenet2012",
    "data.test": "validation",
    "train.batch_size": 4096,
    "train.epochs": 90,
    "backbones.resnet.depth": 50,
    "optimizers.momentum.momentum": 0.9,
    "optimizers.momentum.nesterov": True,
    "optimizers.momentum.weight_decay": 1e-4,
    "schedules.cosine.base": 0.1,
    "schedules.cosine.scaling": "linear",
    "schedules.cosine.warmup_epochs": 5,
    "objectives.supervised.classes": 1000,
    # From scratch.
    "train.initialize": None,
    "objectives.supervised.zero_init": None,
}

# The released code's command for CIFAR-10.
CIFAR10_LINEAR = {
    "data.name": "cifar10",
    "train.batch_size": 512,
    "train.epochs": 100,
    "schedules.cosine.base": 0.1,
    "schedules.cosine.scaling": "linear",
    "objectives.supervised.fine_tune_after_block": 4,
    "objectives.supervised.zero_init": True,
}

# The square root is good for small batches; the views scale with the image.
FIRST_LOOK = {
    # Ours: what a CPU trains in minutes.
    "augmentations.simclr.size": 32,
    "augmentations.simclr.blur": False,
    "train.batch_size": 64,
    "train.steps": 300,
    "schedules.cosine.base": 0.001,
    "schedules.cosine.scaling": "none",
}
FOLDER = {
    "train.batch_size": 128,
    "schedules.cosine.base": 0.1,
    "schedules.cosine.scaling": "sqrt",
    "backbones.resnet.depth": 18,
    "augmentations.fnc.size": 128,
    "augmentations.fnc.translate": round(100 * 128 / 224),
    "augmentations.fnc.cutout": round(40 * 128 / 224),
}

# arXiv:2006.10029; arXiv:2002.05709.
SIMCLR_R50 = {
    "train.batch_size": 4096,
    "train.epochs": 100,
    "objectives.simclr.temperature": 0.1,
    "schedules.cosine.warmup_epochs": 10,
}
SIMCLR_V2 = {
    **SIMCLR_R50,
    "objectives.simclr.projection_layers": 3,
    "optimizers.lars.weight_decay": 1e-4,
    "schedules.cosine.base": 0.075,
    "schedules.cosine.scaling": "sqrt",
}
SIMCLR_V1 = {
    **SIMCLR_R50,
    "objectives.simclr.projection_layers": 2,
    "optimizers.lars.weight_decay": 1e-6,
    "schedules.cosine.base": 0.3,
    "schedules.cosine.scaling": "linear",
}
SIMCLR_LINEAR = {
    "data.name": "imagenet2012",
    "data.test": "validation",
    "train.batch_size": 4096,
    "train.epochs": 90,
    "objectives.supervised.fine_tune_after_block": 4,
    "objectives.supervised.zero_init": True,
    "optimizers.momentum.weight_decay": 1e-6,
    "schedules.cosine.base": 0.1,
    "schedules.cosine.scaling": "linear",
}


ONE_PERCENT = {"data.name": "imagenet2012_subset/1pct"}
TEN_PERCENT = {"data.name": "imagenet2012_subset/10pct"}
ALL = {"data.name": "imagenet2012"}

# Recipe -> its values. Recipes for digits follow no publication.
TABLE = {
    "fnc_r50_pretrain": FNC_R50,
    "fnc_r50_pretrain_1000epochs": {**FNC_R50, "train.epochs": 1000},
    "fnc_r50_linear": FNC_LINEAR,
    "fnc_r50_finetune_1pct": {**FNC_FINE_TUNE, **ONE_PERCENT},
    "fnc_r50_finetune_10pct": {**FNC_FINE_TUNE, **TEN_PERCENT},
    "fnc_r50_finetune_100pct": {**FNC_FINE_TUNE, **ALL},
    "fnc_folder_pretrain": FOLDER,
    "simclr_folder_cpu_pretrain": FIRST_LOOK,
    "fnc_cifar10_pretrain": {**SIMCLR_CIFAR10_OPTIMISATION, "train.epochs": 1000},
    "simclr_r50_pretrain": SIMCLR_V2,
    "simclr_r50_linear": SIMCLR_LINEAR,
    "simclr_r50_finetune_1pct": {**FNC_FINE_TUNE, **ONE_PERCENT},
    "simclr_r50_finetune_10pct": {**SIMCLR_10PCT, **TEN_PERCENT},
    "simclr_r50_finetune_100pct": {**SIMCLR_100PCT, **ALL},
    "simclr_v1_r50_pretrain": SIMCLR_V1,
    "simclr_v1_r50_pretrain_1000epochs": {**SIMCLR_V1, "train.epochs": 1000},
    "simclr_v1_r50_linear": SIMCLR_LINEAR,
    "simclr_v1_r50_finetune_1pct": {
        **SIMCLR_V1_FINE_TUNE,
        **ONE_PERCENT,
        "train.epochs": 60,
    },
    "simclr_v1_r50_finetune_10pct": {**SIMCLR_V1_FINE_TUNE, **TEN_PERCENT},
    "simclr_v1_r50_finetune_100pct": {**SIMCLR_V1_FINE_TUNE, **ALL},
    "simclr_cifar10_pretrain": SIMCLR_CIFAR10,
    "cifar10_linear": CIFAR10_LINEAR,
    "supervised_r50": SUPERVISED,
    **PUBLISHED,
    **{
        f"{method}_cifar10_pretrain": {
            **SIMCLR_CIFAR10_OPTIMISATION,
            "train.epochs": 1000,
        }
        for method in LIKE_SIMCLR
    },
}


def test_the_table_has_every_recipe():
    published = {path.stem for path in RECIPES if "digits" not in path.stem}
    assert set(TABLE) == published


@pytest.mark.parametrize(("name", "published"), TABLE.items(), ids=TABLE)
def test_holds_the_published_values(name, published, monkeypatch):
    path = RECIPES[0].parent / f"{name}.gin"
    monkeypatch.chdir(path.parent.parent)
    found = resolved(name, *overrides(path))
    assert {key: found.get(key) for key in published} == published


def test_one_macro_changes_views_and_objective_together(monkeypatch):
    monkeypatch.chdir(RECIPES[0].parent.parent)
    found = resolved("fnc_r50_pretrain", "support = 3", "size = 96")
    assert found["objectives.fnc.support"] == found["augmentations.fnc.support"] == 3
    assert found["augmentations.fnc.size"] == 96
