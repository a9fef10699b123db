"""`sslkit recipes`: the recipes that --gin finds by name, and whether they work."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from sslkit import config
from sslkit.errors import UserError
from sslkit.plugins import describe


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options."""
    parser.add_argument(
        "action",
        nargs="?",
        choices=["list", "verify"],
        default="list",
        help="list prints the names; verify builds each recipe at its full size and "
        "runs it at a small size: two steps, a checkpoint, a restore, an evaluation "
        "(default: list)",
    )
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help="recipes to verify (default: all)"
    )
    parser.add_argument(
        "--data-dir",
        metavar="FOLDER",
        help="with verify: the folder of the datasets; generated images are used in "
        "place of a dataset that is not there",
    )


def run(args: argparse.Namespace) -> int:
    """Prints one row per recipe."""
    names = config.recipes(config.search_path())
    if args.action == "verify":
        return _verify([_find(n, names) for n in args.names] or names, args)
    width = max(map(len, names), default=0)
    for name in names:
        lines = config.find_recipe(name).read_text(encoding="utf-8-sig").splitlines()
        first = lines[0] if lines and lines[0].startswith("#") else ""
        print(f"{name:{width}}  {first.lstrip('# ')}".rstrip())
    return 0


def _find(name: str, names: Sequence[str]) -> str:
    """Returns a recipe by its name, with or without folder and ending."""
    for path in names:
        if name in (path, path.partition("/")[2], path[4:].removesuffix(".gin")):
            return path
    config.find_recipe(name)
    return name


def _verify(names: Sequence[str], args: argparse.Namespace) -> int:
    from sslkit.cli.startup import start_tensorflow

    if not args.debug:
        start_tensorflow()
    width = max(map(len, names), default=0)
    failed = []
    for name in names:
        try:
            found = _verified(name, args.data_dir)
        except Exception as error:
            if args.debug:
                raise
            failed.append(name)
            reason = str(error) if isinstance(error, UserError) else describe(error)
            found = f"FAILED: {reason}"
        print(f"{name:{width}}  {found}", flush=True)
    print(
        f"{len(names) - len(failed)} of {len(names)} work"
        + (f"; not: {', '.join(failed)}" if failed else "")
    )
    return 1 if failed else 0


def _verified(name: str, data_dir: str | None) -> str:
    """Verifies a recipe and returns what was found, in one line."""
    stages = config.read_stages([name])
    if stages.recipes:
        for stage in stages.recipes:
            config.read_stage(stages, stage, workdir="W")
        return f"resolves; stages {', '.join(stages.recipes.values())}"

    from sslkit.plan.verifying import verify

    found = verify(name, data_dir=data_dir)
    return (
        f"{found.parameters:,} parameters, {found.views:,} views per step; trained on "
        f"{found.data}, loss {found.loss:.4g}; saved, restored; "
        f"{', '.join(p.partition(' (')[0] for p in found.protocols)}; "
        f"{found.seconds:.0f} s"
    )
