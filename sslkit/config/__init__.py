"""Configuration: recipes and overrides to a checked, loaded, rendered whole.

`read` is quick and imports no plugin; `load` goes on to import those in use and hands
out `train`, `data` and `evaluate` with their bindings; a recipe of several stages is
read stage by stage. Of gin it takes the
file format and its parser; nothing is registered with gin, and bindings that a user
has there stay as they are.
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
