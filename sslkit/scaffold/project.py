"""Writes a project that holds one plugin: code, entry point, recipe, tests, README."""

from __future__ import annotations

import ast
import importlib.util
import keyword
import os
import pathlib
import re
from collections.abc import Iterable
from typing import NamedTuple

from packaging.utils import canonicalize_name

import sslkit
from sslkit import plugins
from sslkit.errors import UserError, did_you_mean

KINDS = {kind.removesuffix("s"): kind for kind in plugins.KINDS}
"""Name of a kind on the command line -> the kind, e.g. objective -> objectives."""

_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
_LONGEST = 60
"""Characters of a name: names of files are made of it."""
_CLASS, _MODULE = "NewThing", "new_thing"

_OPTIONS = {
    "augmentation": "size=8",
    "backbone": "width=8",
    "evaluation": "shots=2",
    "objective": "dim=6",
    "reporter": "",
    "runner": "",
    "schedule": "base=0.1",
    "source": "images=12",
    "optimizer": "",
}
"""Kind -> keywords of a small plugin, for its laws."""

_RECIPES = {
    "augmentation": """include 'gin/simclr_digits_pretrain.gin'

train.augmentation = @augmentations.{name}()
augmentations.{name}.size = %size
""",
    "backbone": """include 'gin/simclr_digits_pretrain.gin'

backbone = @backbones.{name}
""",
    "evaluation": """include 'gin/simclr_digits_pretrain.gin'

evaluate.protocols = (@evaluations.knn(), @evaluations.{name}())
""",
    "objective": """include 'gin/parts/digits.gin'
include 'gin/parts/convnet.gin'
include 'gin/parts/one_device.gin'
include 'gin/parts/digits_views.gin'
include 'gin/parts/digits_pretrain.gin'

support = 0          # two views per image
train.epochs = 40
train.objective = @objectives.{name}
objectives.{name}.backbone = %backbone
""",
    "optimizer": """include 'gin/simclr_digits_pretrain.gin'

train.optimizer = @optimizers.{name}()
schedules.cosine.base = 0.05
""",
    "reporter": """include 'gin/simclr_digits_pretrain.gin'

train.reporters = (@reporters.{name}(),)
""",
    "runner": """include 'gin/simclr_digits_pretrain.gin'

train.runner = @runners.{name}()
""",
    "schedule": """include 'gin/simclr_digits_pretrain.gin'

train.schedule = @schedules.{name}()
schedules.{name}.base = 0.002
""",
    "source": """include 'gin/simclr_digits_pretrain.gin'

data.name = None
data.source = @sources.{name}
""",
}


class Written(NamedTuple):
    """A project on the disk."""

    folder: str
    """Its folder."""
    recipe: str
    """The path of the recipe that uses the plugin."""
    files: tuple[str, ...]
    """The paths of all files, relative to the folder."""


def write(kind: str, name: str, to: str | None = None) -> Written:
    """Writes the project.

    Args:
        kind: a key of `KINDS`.
        name: the plugin's name in recipes: small letters, digits, underscores.
        to: the folder to create; by default `sslkit-<name>` in the current folder.

    Raises:
        UserError: if the kind is not known, the name is not allowed or is taken, or the
            folder exists already.
    """
    if kind not in KINDS:
        raise UserError(
            f"there is no kind '{kind}'. {did_you_mean(kind, KINDS)}Kinds: "
            f"{', '.join(KINDS)}."
        )
    problem = _objection(kind, name)
    if problem:
        raise UserError(problem)
    folder = pathlib.Path(to or f"sslkit-{_dashed(name)}")
    package = f"sslkit_{name}"
    recipe = f"gin/{name}_digits.gin"
    files = {
        "pyproject.toml": _pyproject(kind, name, package),
        "README.md": _readme(kind, name, recipe),
        recipe: _recipe(kind, name, recipe),
        f"{package}/__init__.py": f'"""{class_name(name)}, a plugin of sslkit."""\n',
        f"{package}/{kind}.py": _code(kind, name),
        "tests/test_laws.py": _tests(kind, name, package),
    }
    try:
        if folder.exists():
            raise UserError(
                f"{folder} exists already. Choose another folder with --to."
            )
        for path, text in files.items():
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UserError(f"{folder} cannot be written: {error.strerror}.") from error
    return Written(str(folder), os.path.join(folder, recipe), tuple(files))


def class_name(name: str) -> str:
    """Returns the name of the plugin's class, e.g. MyMethod for my_method."""
    return "".join(part.capitalize() for part in name.split("_"))


def _objection(kind: str, name: str) -> str | None:
    """Returns why a new plugin cannot have this name, or None."""
    if not _NAME.fullmatch(name) or len(name) > _LONGEST:
        return (
            f"'{name}' cannot be a plugin's name. Use small letters, digits and single "
            f"underscores, with a letter first, at most {_LONGEST} characters, e.g. "
            "my_method."
        )
    made = class_name(name)
    for word in (name, made):
        if keyword.iskeyword(word):
            return (
                f"'{name}' cannot be a plugin's name: '{word}' is a keyword of Python. "
                "Choose another name, e.g. my_method."
            )
    if made in _words(_template(kind)):
        return (
            f"'{name}' cannot be the name of a new {kind}: its class would be called "
            f"{made}, as one that its module uses. Choose another name, e.g. my_{name}."
        )
    there = plugins.installed()
    taken = [plugin for plugin in there if plugin.title == f"{KINDS[kind]}.{name}"]
    if taken:
        return (
            f"{taken[0].title} is installed already, from {taken[0].origin}. Choose "
            "another name."
        )
    distribution = f"sslkit-{_dashed(name)}"
    beside = [p for p in there if canonicalize_name(p.distribution) == distribution]
    if beside:
        return (
            f"{distribution} is installed already, with {beside[0].title}, and a "
            "second distribution of this name would replace it. Choose another name, "
            "or add the class to that one."
        )
    if importlib.util.find_spec(f"sslkit_{name}") is not None:
        return (
            f"a package sslkit_{name} can be imported already, and a second would hide "
            "it or be hidden. Choose another name."
        )
    return None


def _words(code: str) -> set[str]:
    """Returns the names that a module uses."""
    nodes = list(ast.walk(ast.parse(code)))
    used = {node.id for node in nodes if isinstance(node, ast.Name)}
    return used | {node.name for node in nodes if isinstance(node, ast.alias)}


def _dashed(name: str) -> str:
    return name.replace("_", "-")


def _template(kind: str) -> str:
    module = pathlib.Path(__file__).with_name(f"{kind}.py")
    return module.read_text(encoding="utf-8")


def _code(kind: str, name: str) -> str:
    text = _template(kind)
    return text.replace(_CLASS, class_name(name)).replace(_MODULE, name)


def _pyproject(kind: str, name: str, package: str) -> str:
    major, minor, *_ = sslkit.__version__.split(".")
    return f"""[build-system]
requires = ["setuptools>=64"]
build-backend = "setuptools.build_meta"

[project]
name = "sslkit-{_dashed(name)}"
version = "0.1.0"
description = "{class_name(name)} for sslkit"
readme = "README.md"
requires-python = ">=3.11"
dependencies = ["sslkit>={major}.{minor},<{major}.{int(minor) + 1}"]

[project.optional-dependencies]
test = ["pytest>=8"]

[project.entry-points."sslkit.{KINDS[kind]}"]
{name} = "{package}.{kind}:{class_name(name)}"

[tool.setuptools]
packages = ["{package}"]
"""


def _recipe(kind: str, name: str, recipe: str) -> str:
    return f"""# {class_name(name)} on handwritten digits; takes minutes on a CPU.
#
# Must set: --workdir.  Often set: train.epochs, train.seed.
# Command: sslkit train --gin {recipe} --workdir W
{_RECIPES[kind].format(name=name)}"""


def _tests(kind: str, name: str, package: str) -> str:
    made = class_name(name)
    options = f", {_OPTIONS[kind]}" if _OPTIONS[kind] else ""
    return f'''"""Tests {made} against the laws of its kind."""

from sslkit.testing import laws, style_laws
from {package}.{kind} import {made}


@laws({made}{options})
def test_law(law):
    law()


@style_laws({made}{options})
def test_style(law):
    law()
'''


def _readme(kind: str, name: str, recipe: str) -> str:
    return f"""# sslkit-{_dashed(name)}

The {kind} `{KINDS[kind]}.{name}` for sslkit.

```
pip install -e '.[test]'
pytest
sslkit train --gin {recipe} --workdir runs/{name}
```

The first command installs the plugin, the second tests it against the laws of its
kind, and the third trains with it. The plugin's code is in
`sslkit_{name}/{kind}.py`.
"""


def next_lines(written: Written) -> Iterable[str]:
    """Returns the commands to run next."""
    yield f"cd {written.folder}"
    yield "pip install -e '.[test]' && pytest"
    recipe = os.path.relpath(written.recipe, written.folder)
    yield f"sslkit train --gin {recipe} --workdir W"
