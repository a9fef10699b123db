"""From a resolution to callables: plugins loaded, classes known to gin, gin locked."""

from __future__ import annotations

import dataclasses
import functools
import importlib
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import gin

from sslkit import plugins
from sslkit.config.resolution import SEAMS, Resolution, read
from sslkit.errors import UserError

# What gin appends to the message of an error that passes through it.
_GIN_TRAILER = "\n  In call to configurable"


@dataclasses.dataclass(frozen=True)
class Config:
    """A loaded configuration; valid until the next `load`, because gin's is global."""

    resolution: Resolution
    """The bindings behind it; its `render()` is what a run keeps beside its output."""
    plugins: Mapping[str, type]
    """The verified classes in use, by title, e.g. `objectives.fnc`."""
    train: Callable[..., Any]
    """`sslkit.train.run.train` with its bindings; keywords given here win."""
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
        UserError: what `plugins.load` refuses, and what gin does, in one line with
            the place.
    """
    classes = {
        title: plugins.load(*title.split(".", 1)) for title in resolution.targets()
    }
    functions = {name: _import(value) for name, value in SEAMS.items()}
    gin.clear_config()
    # Interactive mode lets a name be registered again, by the next load.
    with gin.config.interactive_mode():
        for title, plugin in classes.items():
            gin.external_configurable(plugin, name=title)
        for name, function in functions.items():
            gin.external_configurable(function, name=name, module="sslkit")
    for binding in resolution.bindings:
        try:
            gin.parse_config(f"{binding.key} = {binding.value!r}")
        except Exception as error:
            raise UserError(f"{binding.place}: {plugins.describe(error)}.") from error
    gin.finalize()
    return Config(
        resolution=resolution,
        plugins=classes,
        **{name: _seam(name, function) for name, function in functions.items()},
    )


def _import(value: str) -> Callable[..., Any]:
    module, _, name = value.partition(":")
    return getattr(importlib.import_module(module), name)


def _seam(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """Returns the function with its bindings as defaults.

    The bindings are taken from gin and passed by hand. Were gin's own wrapper around
    `train`, it would replace every error of a run by a copy without its cause.
    """

    @functools.wraps(function)
    def call(**given: Any) -> Any:
        try:
            bound = gin.get_bindings(name)
            _check_bound(name, function, {*bound, *given})
            return function(**{**bound, **given})
        except UserError as error:
            if _GIN_TRAILER not in str(error):
                raise
            raise UserError(plain(error)) from error

    return call


def plain(error: UserError) -> str:
    """Returns an error's message without what gin adds to it.

    A factory that a recipe binds runs later than this module, and gin with it.
    """
    return str(error).partition(_GIN_TRAILER)[0]


def _check_bound(name: str, function: Callable[..., Any], bound: set[str]) -> None:
    missing = [
        key
        for key, parameter in inspect.signature(function).parameters.items()
        if parameter.default is parameter.empty and key not in bound
    ]
    if missing:
        raise UserError(
            f"{', '.join(f'{name}.{key}' for key in missing)} must be bound. Choose a "
            f"recipe that does, or add --set '{name}.{missing[0]} = …'."
        )
