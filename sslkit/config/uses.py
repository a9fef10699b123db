"""Which recipes use a plugin, and how a plugin by itself is configured."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from sslkit import plugins
from sslkit.config.building import Builder
from sslkit.config.core_functions import CORE_FUNCTIONS
from sslkit.config.reaching import expand, reach
from sslkit.config.reading import Binding
from sslkit.config.recipes import recipes, search_path
from sslkit.config.renaming import current
from sslkit.config.resolution import idle_message, read_overrides, resolve
from sslkit.config.stages import read_stages, stage_bindings
from sslkit.errors import UserError


def recipes_with(title: str) -> list[str]:
    """Lists the recipes whose runs use a plugin, as names for --gin.

    Recipes that cannot be read are left out.

    Args:
        title: the plugin's title, e.g. `objectives.fnc`.
    """
    installed = plugins.installed()
    found = []
    for name in recipes(search_path()):
        try:
            stages = read_stages([name])
            runs = [stage_bindings(stages, stage) for stage in stages.recipes]
            used = [_targets(run, installed) for run in runs or [list(stages.above)]]
        except UserError:
            continue
        if any(title in targets for targets in used):
            found.append(name)
    return found


def _targets(
    written: Sequence[Binding], installed: Sequence[plugins.Plugin]
) -> set[str]:
    """Returns the targets that a run with these bindings uses."""
    last = {b.key: b for b in current(written, installed, warn=False)}
    macros = {key: binding for key, binding in last.items() if not binding.parameter}
    bindings = [expand(b, macros) for b in last.values() if b.parameter]
    return reach(bindings, CORE_FUNCTIONS)[2]


def options(plugin: plugins.Plugin, overrides: Sequence[str]) -> dict[str, Any]:
    """Builds keyword arguments for a plugin; imports it and the plugins they refer to.

    Args:
        plugin: the plugin.
        overrides: texts such as `dim = 6`, or `optimizers.adam.beta1 = 0.8` for a
            plugin that one of the others refers to.

    Returns:
        Keyword -> value.

    Raises:
        UserError: if a name is not a keyword, or its annotation does not allow the
            value.
    """
    title = plugin.title
    written = [
        binding
        if binding.parameter
        else dataclasses.replace(binding, target=title, parameter=binding.target)
        for binding in read_overrides(overrides)
    ]
    resolution, idle = resolve(written, [], roots=[title])
    if idle:
        raise UserError(idle_message(idle[0], resolution))
    titles = {title, *resolution.targets()}
    classes = {name: plugins.load(*name.split(".", 1)) for name in titles}
    return Builder(resolution.bindings, classes).options(title)
