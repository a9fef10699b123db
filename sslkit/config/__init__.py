"""Configuration: recipes and overrides to a checked, loaded, rendered whole.

`read` is quick and imports no plugin; `load` goes on to import those in use and hands
out `train`, `data` and `evaluate` with their bindings. Only `sslkit.config` knows
gin.
"""

from __future__ import annotations

from sslkit.config.comparison import difference
from sslkit.config.loading import Config, load
from sslkit.config.recipes import find_recipe, recipes, search_path
from sslkit.config.resolution import Resolution, read

__all__ = [
    "Config",
    "Resolution",
    "difference",
    "find_recipe",
    "load",
    "read",
    "recipes",
    "search_path",
]
