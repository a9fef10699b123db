"""`sslkit plugins`: the installed plugins, their arguments, and whether they work."""

from __future__ import annotations

import argparse
import contextlib
import shutil
import textwrap

from sslkit import plugins
from sslkit.cli.startup import quiet_stderr
from sslkit.errors import UserError, did_you_mean

ACTIONS = ("list", "show", "check")
_HEAD = ("kind", "name", "distribution", "version", "status", "summary")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options."""
    parser.add_argument(
        "action",
        nargs="?",
        default="list",
        metavar="ACTION",
        help="list (the default); show NAME: its arguments, paper and recipes; check "
        "NAME: test it against the laws of its kind, with exit code 1 if it breaks one",
    )
    parser.add_argument(
        "name",
        nargs="?",
        metavar="NAME",
        help="a plugin, e.g. objectives.fnc; fnc is enough if no other kind has that "
        "name",
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="'NAME = VALUE'",
        help="with check: set an argument of the plugin, preferably to a small value, "
        "e.g. 'dim = 6'; may be repeated",
    )
    parser.add_argument(
        "--check",
        action="store_true",
        help="with list: import and verify each plugin, with exit code 1 if one fails",
    )


def check(args: argparse.Namespace) -> None:
    """Refuses options that do not go together."""
    if args.action not in ACTIONS:
        raise UserError(
            f"`sslkit plugins` does not know '{args.action}'. "
            f"{did_you_mean(args.action, ACTIONS)}It takes: {', '.join(ACTIONS)}."
        )
    if (args.action == "list") == (args.name is not None):
        raise UserError(
            f"`sslkit plugins {args.action}` takes no name."
            if args.name
            else f"`sslkit plugins {args.action}` needs the name of a plugin, e.g. "
            "objectives.supervised."
        )
    if args.set and args.action != "check":
        raise UserError("--set goes only with `sslkit plugins check NAME`.")
    if args.check and args.action != "list":
        raise UserError(
            "--check goes only with the list; to check one plugin: `sslkit plugins "
            "check NAME`."
        )


def run(args: argparse.Namespace) -> int:
    """Lists the plugins, shows one, or checks one."""
    if args.action == "show":
        return _show(plugins.named(args.name))
    if args.action == "check":
        return _check_laws(plugins.named(args.name), args)
    return _list(verify=args.check)


def _list(*, verify: bool) -> int:
    from sslkit.config.documentation import summary

    installed = plugins.installed()
    # Plugins import TensorFlow, which prints messages as it starts.
    with quiet_stderr() if verify else contextlib.nullcontext():
        problems = {
            plugin: _failure(plugin) if verify else _problem(plugin, installed)
            for plugin in installed
        }
    rows = [
        (
            plugin.kind,
            plugin.name,
            plugin.distribution,
            plugin.version,
            "broken" if problems[plugin] else "works" if verify else "installed",
            summary(plugin.value),
        )
        for plugin in installed
    ]
    widths = [max(map(len, column)) for column in zip(_HEAD, *rows, strict=True)]
    for row in (_HEAD, *rows):
        cells = [f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)]
        print("  ".join(cells).rstrip())
    strays = plugins.strays()
    for line in dict.fromkeys([*filter(None, problems.values()), *strays]):
        print(f"error: {line}")
    return 1 if verify and (strays or any(problems.values())) else 0


def _problem(plugin: plugins.Plugin, installed: list[plugins.Plugin]) -> str | None:
    """Returns what is wrong according to the metadata, without importing."""
    return plugins.conflict(plugin, installed) or plugins.refusal(plugin)


def _failure(plugin: plugins.Plugin) -> str | None:
    """Imports and verifies the plugin; returns what is wrong, None if nothing is."""
    try:
        plugins.load(plugin.kind, plugin.name)
    except UserError as error:
        return str(error)
    return None


def _show(plugin: plugins.Plugin) -> int:
    """Prints what the source code of a plugin says about it."""
    from sslkit.config.documentation import about
    from sslkit.config.signatures import signature
    from sslkit.config.types import kinds_of
    from sslkit.config.uses import recipes_with

    width = min(shutil.get_terminal_size((100, 24)).columns, 100)

    def wrapped(text: str, indent: str) -> str:
        return textwrap.fill(
            text, width, initial_indent=indent, subsequent_indent=indent
        )

    described = about(plugin.value)
    print(f"{plugin.title}, of {plugin.origin} ({plugin.value})")
    if described.summary:
        print(wrapped(described.summary, "  "))
    if described.text:
        print("\n" + textwrap.indent(described.text, "  "))
    used = recipes_with(plugin.title)
    print()
    print(wrapped(f"paper: {', '.join(described.papers) or 'none is named'}", ""))
    print(wrapped(f"recipes: {', '.join(used) or 'none of those found here'}", ""))
    known = signature(plugin.value, kinds_of(plugins.installed()))
    if known is None:
        print("arguments: cannot be read from its source code")
        return 0
    print("arguments:" if known.parameters else "arguments: none")
    for name, parameter in known.parameters.items():
        default = "(required)" if parameter.default is None else parameter.default
        print(f"  {name} = {default}")
        print(wrapped(f"{parameter.wanted.words()}", "      "))
        if name in described.arguments:
            print(wrapped(described.arguments[name], "      "))
    return 0


def _check_laws(plugin: plugins.Plugin, args: argparse.Namespace) -> int:
    """Tests a plugin against the laws of its kind and prints one row per law."""
    from sslkit.cli.startup import start_tensorflow
    from sslkit.config.uses import options

    if not args.debug:
        start_tensorflow()
    given = options(plugin, args.set)

    from sslkit.testing import laws_of, style_laws_of
    from sslkit.testing.checking import check_laws, missing

    loaded = plugins.load(plugin.kind, plugin.name)
    laws, style = laws_of(loaded, **given), style_laws_of(loaded, **given)
    lacks = missing(laws[0].subject)
    if lacks:
        raise UserError(
            f"{plugin.title} has no default for {', '.join(lacks)}. Add --set "
            f"'{lacks[0]} = …'."
        )
    print(f"{plugin.title}, of {plugin.origin} ({plugin.value})")
    width = max(len(law.name) for law in [*laws, *style])
    results = ("passed", "failed", "skipped", "not checked", "advice")
    counts = dict.fromkeys(results, 0)
    for found in check_laws(laws):
        counts[found.result] += 1
        _row(width, found.law, found.result, found.reason)
    broken = counts["failed"] + counts["not checked"]
    for found in check_laws(style):
        # Style alone cannot make a run fail.
        result = "advice" if found.result == "failed" else found.result
        counts[result] += 1
        _row(width, found.law, result, found.reason)
    shown = ", ".join(f"{count} {result}" for result, count in counts.items() if count)
    points = "point" if len(style) == 1 else "points"
    print(f"{len(laws)} laws and {len(style)} {points} of style: {shown}")
    return 1 if broken else 0


def _row(width: int, law: str, result: str, reason: str) -> None:
    print(f"  {law:{width}}  {result:10}  {reason}".rstrip(), flush=True)
