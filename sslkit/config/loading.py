"""From a resolution to callables: plugins loaded, and what they are built from."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sslkit import plugins
from sslkit.config.building import Builder
from sslkit.config.resolution import Resolution, check_parameter, read
from sslkit.config.seams import SEAMS


@dataclasses.dataclass(frozen=True)
class Config:
    """A loaded configuration, independent of all others in the process."""

    resolution: Resolution
    """The bindings behind it; its `render()` is what a run keeps beside its output."""
    plugins: Mapping[str, type]
    """The verified classes in use, by title, e.g. `objectives.fnc`."""
    train: Callable[..., Any]
    """`sslkit.training.run.Training` with its bindings; keywords given here win."""
    data: Callable[..., Any]
    """`sslkit.data.dataset.data`, likewise."""
    evaluate: Callable[..., Any]
    """`sslkit.evaluate.protocol.evaluate`, likewise."""


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
        UserError: what `read` and `load_resolved` refuse.
    """
    return load_resolved(read(recipes, overrides, data_dir=data_dir))


def load_resolved(resolution: Resolution) -> Config:
    """Loads a configuration that was read; imports TensorFlow.

    Only the plugins that the run uses are imported, so that no other can break it.

    Raises:
        UserError: what `plugins.load` refuses; and for a parameter that a class does
            not have and its source did not tell.
    """
    classes = {
        title: plugins.load(*title.split(".", 1)) for title in resolution.targets()
    }
    functions = {name: _import(value) for name, value in SEAMS.items()}
    targets: dict[str, Callable[..., Any]] = {**functions, **classes}
    for binding in resolution.bindings:
        check_parameter(
            binding, list(inspect.signature(targets[binding.target]).parameters)
        )
    builder = Builder(resolution.bindings, targets)
    return Config(
        resolution=resolution,
        plugins=classes,
        **{name: builder.seam(name) for name in functions},
    )


def _import(value: str) -> Callable[..., Any]:
    module, _, name = value.partition(":")
    return getattr(importlib.import_module(module), name)
