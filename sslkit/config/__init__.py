"""Configuration: reads recipes and overrides, checks them, and loads the plugins.

`read` is quick and does not import plugins. `load` also imports those in use and
provides `train`, `data` and `evaluate` with their bindings. A recipe of several stages
is read stage by stage. Only gin's file format and its parser are used: nothing is
registered with gin, so a program's own use of gin is not affected.
"""

from __future__ import annotations

from sslkit.config.claiming import FREE, claim, conflict
from sslkit.config.comparison import difference
from sslkit.config.loading import Config, load, load_resolved
from sslkit.config.recipes import find_recipe, recipes, search_path
from sslkit.config.resolution import Resolution, left_open, read
from sslkit.config.stages import (
    ALONE,
    Stages,
    read_each,
    read_stage,
    read_stages,
    stage_workdir,
)

__all__ = [
    "ALONE",
    "FREE",
    "Config",
    "Resolution",
    "Stages",
    "claim",
    "conflict",
    "difference",
    "find_recipe",
    "left_open",
    "load",
    "load_resolved",
    "read",
    "read_each",
    "read_stage",
    "read_stages",
    "recipes",
    "search_path",
    "stage_workdir",
]
