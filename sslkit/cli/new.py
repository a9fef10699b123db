"""`sslkit new`: creates a project for a new plugin."""

from __future__ import annotations

import argparse

from sslkit.scaffold import project


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options."""
    parser.add_argument(
        "kind",
        metavar="KIND",
        help=f"the kind of plugin: {', '.join(project.KINDS)}",
    )
    parser.add_argument(
        "name", metavar="NAME", help="the plugin's name in recipes, e.g. my_method"
    )
    parser.add_argument(
        "--to", metavar="FOLDER", help="the folder to create (default: sslkit-NAME)"
    )


def run(args: argparse.Namespace) -> int:
    """Writes the project; prints its files and the commands to run next."""
    written = project.write(args.kind, args.name, args.to)
    print(f"wrote {written.folder}:")
    for path in written.files:
        print(f"  {path}")
    print("next:")
    for line in project.next_lines(written):
        print(f"  {line}")
    return 0
