"""`sslkit config`: all values that a recipe and its overrides set."""

from __future__ import annotations

import argparse
import sys

from sslkit.cli.options import add_recipe_options
from sslkit.cli.stages import read_all
from sslkit.config import ALONE


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options."""
    add_recipe_options(parser)
    parser.add_argument(
        "--places",
        action="store_true",
        help="add a comment to each value: the file and the line where it is set",
    )
    parser.add_argument(
        "--all",
        action="store_true",
        help="also show the values that are not set, as comments with their defaults",
    )


def run(args: argparse.Namespace) -> int:
    """Prints the resolved configuration, which is itself a recipe; notes to stderr."""
    for name, resolution in read_all(args, workdir="W").items():
        if name != ALONE:
            print(f"# Stage {name}.")
        print(resolution.render(places=args.places, defaults=args.all), end="")
        for note in resolution.notes:
            print(f"sslkit: note: {note}", file=sys.stderr)
    return 0
