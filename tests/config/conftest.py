"""A small set of plugins, three functions of the core, and recipes."""

from __future__ import annotations

import pathlib
import sys
import textwrap
from collections.abc import Callable

import pytest
from fake_distribution import install

from sslkit.config.core_functions import CORE_FUNCTIONS

CORE = """
    def train(
        *,
        objective,
        augmentation=None,
        schedule=None,
        epochs: int = 1,
        note=None,
        workdir: str = "",
    ):
        return dict(locals())

    def data(*, name: str, data_dir: str | None = None):
        return dict(locals())

    def evaluate(*, neighbours: int = 20, data=None):
        return dict(locals())
"""

PLUGINS = """
    import dataclasses

    from sslkit.api import Augmentation, Backbone, Objective, Schedule, UserError

    class Tiny(Backbone):
        def __init__(self, *, width: int = 4, name: str = "tiny"):
            super().__init__(name=name)
            self.width = width

        feature_dim = property(lambda self: self.width)

        def call(self, images, *, training):
            return images

    class Toy(Objective):
        def __init__(
            self,
            backbone=Tiny,
            *,
            temperature: float = 0.1,
            decay: float = 0.9,
            name: str = "toy",
        ):
            super().__init__(name=name)
            if temperature <= 0:
                raise UserError(f"temperature {temperature} is not positive.")
            self.temperature = temperature
            self.online = backbone(name="online")
            self.twin = backbone(name="twin")

        requires = property(lambda self: {"instance": 2})

        def call(self, batch, *, step):
            return None

    class Other(Toy):
        def __init__(self, *, margin: float = 1.0, name: str = "other"):
            super().__init__(name=name)

    class Flip(Augmentation):
        def __init__(self, *, size: int, views: int = 2):
            self.size = size
            self.views = views

        groups = property(lambda self: {"instance": (self.views, self.size)})

        def example(self, image, seed):
            return {}

    class Inherits(Flip):
        pass

    @dataclasses.dataclass
    class Hidden(Augmentation):
        size: int = 3

        groups = property(lambda self: {"instance": (2, self.size)})

        def example(self, image, seed):
            return {}

    class Falling(Schedule):
        def rate(self, step, *, steps, batch_size, examples):
            return 1.0
"""

ENTRY_POINTS = {
    "sslkit.backbones": {"tiny": "toy_plugins:Tiny"},
    "sslkit.objectives": {
        "toy": "toy_plugins:Toy",
        "toy_other": "toy_plugins:Other",
        "toy_broken": "toy_broken:Broken",
    },
    "sslkit.augmentations": {
        "toy_flip": "toy_plugins:Flip",
        "toy_inherits": "toy_plugins:Inherits",
        "toy_hidden": "toy_plugins:Hidden",
    },
    "sslkit.schedules": {"toy_falling": "toy_plugins:Falling"},
}


@pytest.fixture
def world(tmp_path: pathlib.Path, monkeypatch) -> pathlib.Path:
    """A current folder to write recipes in, with the made-up plugins installed."""
    site = tmp_path / "site"
    install(
        site,
        "acme-toys",
        entry_points=ENTRY_POINTS,
        modules={
            "toy_core.py": CORE,
            "toy_plugins.py": PLUGINS,
            "toy_broken.py": "raise RuntimeError('toy_broken was imported')",
        },
    )
    monkeypatch.syspath_prepend(site)
    for name in CORE_FUNCTIONS:
        monkeypatch.setitem(CORE_FUNCTIONS, name, f"toy_core:{name}")
    work = tmp_path / "work"
    (work / "gin" / "parts").mkdir(parents=True)
    monkeypatch.chdir(work)
    yield work
    for name in ("toy_core", "toy_plugins", "toy_broken"):
        sys.modules.pop(name, None)


@pytest.fixture
def recipe(world: pathlib.Path) -> Callable[[str, str], str]:
    """Writes a recipe into the current folder and returns its name."""

    def write(name: str, text: str) -> str:
        path = world / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
        return name

    return write
