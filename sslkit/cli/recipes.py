"""`sslkit recipes`: which recipes there are to give to --gin."""

from __future__ import annotations

import argparse

from sslkit import config


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds no option of its own."""


def run(args: argparse.Namespace) -> int:
    """Prints each recipe's name and the first line of its comment."""
    names = config.recipes(config.search_path())
    width = max(map(len, names), default=0)
    for name in names:
        lines = config.find_recipe(name).read_text(encoding="utf-8").splitlines()
        first = lines[0] if lines and lines[0].startswith("#") else ""
        print(f"{name:{width}}  {first.lstrip('# ')}".rstrip())
    return 0
