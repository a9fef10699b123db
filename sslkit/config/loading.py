"""Turns a resolution into functions to call: loads the plugins and adds arguments."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sslkit import plugins
from sslkit.config.building import Builder
from sslkit.config.core_functions import CORE_FUNCTIONS
from sslkit.config.resolution import Resolution, check_parameter, read


@dataclasses.dataclass(frozen=True)
class Config:
    """A loaded configuration, independent of all others in the process."""

    resolution: Resolution
    """The bindings; its `render()` is the text that a run writes to `config.gin`."""
    plugins: Mapping[str, type]
    """Title, e.g. `objectives.fnc`, -> the verified class, for the plugins in use."""
    train: Callable[..., Any]
    """`sslkit.training.run.Training` with the arguments that are bound; arguments that
    are given in the call replace them."""
    data: Callable[..., Any]
    """`sslkit.data.dataset.data`, in the same way."""
    evaluate: Callable[..., Any]
    """`sslkit.evaluate.protocol.evaluate`, in the same way."""


def load(
    recipes: Sequence[str],
    overrides: Sequence[str] = (),
    *,
    data_dir: str | None = None,
) -> Config:
    """Reads, checks and loads a configuration; imports TensorFlow.

    Args:
        recipes: files, as for `find_recipe`, in order.
        overrides: texts such as `train.epochs = 5`.
        data_dir: short for the override `data.data_dir = '...'`.

    Raises:
        UserError: as `read` and `load_resolved`.
    """
    return load_resolved(read(recipes, overrides, data_dir=data_dir))


def load_resolved(resolution: Resolution) -> Config:
    """Loads a configuration that was read; imports TensorFlow.

    Only the plugins that the run uses are imported, so that others cannot break it.

    Raises:
        UserError: as `plugins.load`; and if a class does not have a parameter, for
            classes whose signatures could not be read from source code.
    """
    classes = {
        title: plugins.load(*title.split(".", 1)) for title in resolution.targets()
    }
    functions = {name: _import(value) for name, value in CORE_FUNCTIONS.items()}
    targets: dict[str, Callable[..., Any]] = {**functions, **classes}
    for binding in resolution.bindings:
        check_parameter(
            binding, list(inspect.signature(targets[binding.target]).parameters)
        )
    builder = Builder(resolution.bindings, targets)
    return Config(
        resolution=resolution,
        plugins=classes,
        **{name: builder.core_function(name) for name in functions},
    )


def _import(value: str) -> Callable[..., Any]:
    module, _, name = value.partition(":")
    return getattr(importlib.import_module(module), name)
