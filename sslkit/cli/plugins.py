"""`sslkit plugins`: what is installed, and whether it works."""

from __future__ import annotations

import argparse
import contextlib

from sslkit import plugins
from sslkit.cli.startup import hushed
from sslkit.errors import UserError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options."""
    parser.add_argument(
        "--check",
        action="store_true",
        help="import and verify each plugin; exit with 1 if any fails",
    )


def run(args: argparse.Namespace) -> int:
    """Prints a table by kind; with --check, what is wrong with each plugin."""
    installed = plugins.installed()
    # Plugins import TensorFlow, which logs as it starts.
    with hushed() if args.check else contextlib.nullcontext():
        problems = {
            plugin: _failure(plugin) if args.check else _problem(plugin, installed)
            for plugin in installed
        }
    names = max((len(plugin.name) for plugin in installed), default=0)
    origins = max((len(plugin.origin) for plugin in installed), default=0)
    for kind in plugins.KINDS:
        print(kind)
        for plugin in (p for p in installed if p.kind == kind):
            state = "ok  " if args.check and not problems[plugin] else ""
            print(
                f"  {plugin.name:{names}}  {plugin.origin:{origins}}  "
                f"{state}{plugin.value}"
            )
            if problems[plugin]:
                print(f"    error: {problems[plugin]}")
        if all(plugin.kind != kind for plugin in installed):
            print("  none")
    strays = plugins.strays()
    for line in strays:
        print(f"error: {line}")
    return 1 if args.check and (strays or any(problems.values())) else 0


def _problem(plugin: plugins.Plugin, installed: list[plugins.Plugin]) -> str | None:
    """Returns what is wrong as far as metadata tells, without importing."""
    return plugins.conflict(plugin, installed) or plugins.refusal(plugin)


def _failure(plugin: plugins.Plugin) -> str | None:
    """Returns what is wrong once the plugin is imported."""
    try:
        plugins.load(plugin.kind, plugin.name)
    except UserError as error:
        return str(error)
    return None
