"""Installs sslkit together with the plugins of this repository, in one command.

A plugin's own pyproject.toml is the one source of its packages, entry points and
dependencies: it is read here, so that `pip install .` gives what `pip install
./plugins/<name>` for each of them would. SSLKIT_CORE_ONLY=1 leaves the plugins out.
"""

from __future__ import annotations

import os
import pathlib
import re
import tomllib
from typing import Any

from setuptools import find_packages, setup

ROOT = pathlib.Path(__file__).resolve().parent

CORE_ENTRY_POINTS = {
    "console_scripts": {"sslkit": "sslkit.cli.main:main"},
    "sslkit.backbones": {
        "convnet": "sslkit.nn.convnet:ConvNet",
        "keras": "sslkit.nn.applications:KerasApplication",
        "resnet": "sslkit.nn.resnet:ResNet",
        "vit": "sslkit.nn.vit:ViT",
    },
    "sslkit.augmentations": {
        "crop_flip": "sslkit.views.augmentations:CropFlip",
        "multi_crop": "sslkit.views.multi_crop:MultiCrop",
    },
    "sslkit.evaluations": {
        "few_labels": "sslkit.evaluate.few_labels:FewLabels",
        "knn": "sslkit.evaluate.knn:KNN",
        "linear": "sslkit.evaluate.linear:Linear",
        "logits": "sslkit.evaluate.logits:Logits",
    },
    "sslkit.objectives": {"supervised": "sslkit.objectives.supervised:Supervised"},
    "sslkit.optimizers": {
        "adam": "sslkit.optimize.adam:Adam",
        "adamw": "sslkit.optimize.decayed:AdamW",
        "by_layer": "sslkit.optimize.rates:ByLayer",
        "by_path": "sslkit.optimize.rates:ByPath",
        "clipped": "sslkit.optimize.clipped:Clipped",
        "decayed": "sslkit.optimize.decayed:Decayed",
        "lars": "sslkit.optimize.lars:LARS",
        "momentum": "sslkit.optimize.momentum:Momentum",
    },
    "sslkit.schedules": {
        "constant": "sslkit.optimize.schedules:Constant",
        "cosine": "sslkit.optimize.schedules:WarmupCosine",
    },
    "sslkit.sources": {
        "arrays": "sslkit.data.arrays:Arrays",
        "digits": "sslkit.data.digits:Digits",
        "folder": "sslkit.data.folder:Folder",
        "huggingface": "sslkit.data.huggingface:HuggingFace",
        "tfds": "sslkit.data.tfds:PreparedTFDS",
    },
    "sslkit.reporters": {
        "metrics_file": "sslkit.reporters.metrics_file:MetricsFile",
        "tensorboard": "sslkit.reporters.tensorboard:TensorBoard",
        "wandb": "sslkit.reporters.wandb:WandB",
    },
    "sslkit.runners": {
        "mirrored": "sslkit.runners.mirrored:Mirrored",
        "multiworker": "sslkit.runners.multiworker:MultiWorker",
        "single": "sslkit.runners.single:Single",
        "tpu": "sslkit.runners.tpu:TPU",
    },
}

# Recipes are data, but they ship under a package so that a wheel carries them.
RECIPES = "sslkit.recipes.gin"


def recipe_packages(root: pathlib.Path) -> dict[str, str]:
    """Returns package -> folder for `gin/` and each folder below it."""
    top = root / "gin"
    folders = [top, *sorted(p for p in top.rglob("*") if p.is_dir())]
    return {
        ".".join([RECIPES, *folder.relative_to(top).parts]): str(
            folder.relative_to(root)
        )
        for folder in folders
        if any(folder.glob("*.gin"))
    }


def plugin_projects(root: pathlib.Path) -> dict[pathlib.Path, dict[str, Any]]:
    """Returns plugin folder -> the contents of its pyproject.toml."""
    if os.environ.get("SSLKIT_CORE_ONLY") == "1":
        return {}
    return {
        path.parent: tomllib.loads(path.read_text(encoding="utf-8"))
        for path in sorted(root.glob("plugins/*/pyproject.toml"))
    }


def dependencies(
    root: pathlib.Path, plugins: dict[pathlib.Path, dict[str, Any]]
) -> list[str]:
    """Returns what the core and the plugins need, but for what is built here."""
    core = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    wanted = list(core["tool"]["sslkit"]["dependencies"])
    here = {_plain(core["project"]["name"])}
    here |= {_plain(project["project"]["name"]) for project in plugins.values()}
    for project in plugins.values():
        for requirement in project["project"].get("dependencies", []):
            name = re.match(r"[A-Za-z0-9._-]+", requirement)
            if name is None or _plain(name[0]) not in here:
                wanted.append(requirement)
    return list(dict.fromkeys(wanted))


def _plain(name: str) -> str:
    """Returns the name by which distributions are compared (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _announce(
    entry_points: dict[str, dict[str, str]],
    owners: dict[tuple[str, str], str],
    group: str,
    names: dict[str, str],
    owner: str,
) -> None:
    for name, value in names.items():
        if (group, name) in owners:
            kind = group.removeprefix("sslkit.")
            raise SystemExit(
                f"{kind}.{name} is announced twice: by {owners[group, name]} and by "
                f"{owner}. Give one of them another name, or build without one."
            )
        owners[group, name] = owner
        entry_points.setdefault(group, {})[name] = value


def distribution(root: pathlib.Path = ROOT) -> dict[str, Any]:
    """Returns what pyproject.toml cannot say: packages, entry points, dependencies.

    Raises:
        SystemExit: if a name is announced twice.
    """
    packages = find_packages(str(root), include=["sslkit", "sslkit.*"])
    recipes = recipe_packages(root)
    package_dir = dict(recipes)
    entry_points: dict[str, dict[str, str]] = {}
    owners: dict[tuple[str, str], str] = {}
    for group, names in CORE_ENTRY_POINTS.items():
        _announce(entry_points, owners, group, names, "sslkit itself")
    plugins = plugin_projects(root)
    for folder, project in plugins.items():
        owner = f"{project['project']['name']} ({folder.relative_to(root)})"
        for package in project["tool"]["setuptools"]["packages"]:
            packages.append(package)
            package_dir[package] = str((folder / package).relative_to(root))
        for group, names in project["project"].get("entry-points", {}).items():
            # In one distribution one of two would be lost without a word.
            _announce(entry_points, owners, group, names, owner)
    return {
        "install_requires": dependencies(root, plugins),
        "packages": [*packages, *recipes],
        "package_dir": package_dir,
        "package_data": {
            "sslkit": ["py.typed"],
            "sslkit.page": ["templates/*"],
            **{package: ["*.gin"] for package in recipes},
        },
        "entry_points": {
            group: [f"{name} = {value}" for name, value in sorted(names.items())]
            for group, names in entry_points.items()
        },
    }


if __name__ == "__main__":
    setup(**distribution())
