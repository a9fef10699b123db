"""`sslkit new`: begins a plugin as a project of its own."""

from __future__ import annotations

import argparse

from sslkit.scaffold import project


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options."""
    parser.add_argument("kind", metavar="KIND", help=", ".join(project.KINDS))
    parser.add_argument(
        "name", metavar="NAME", help="what recipes call it, e.g. my_method"
    )
    parser.add_argument(
        "--to", metavar="FOLDER", help="the folder to make (default: sslkit-NAME)"
    )


def run(args: argparse.Namespace) -> int:
    """Writes the project, and says what to type next."""
    written = project.write(args.kind, args.name, args.to)
    print(f"wrote {written.folder}:")
    for path in written.files:
        print(f"  {path}")
    print("next:")
    for line in project.next_lines(written):
        print(f"  {line}")
    return 0
