"""`sslkit compare`: how the settings of runs differ, and whether their results do."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys

from sslkit.arguments import check_folder
from sslkit.cli.options import check_target_file
from sslkit.cli.startup import start_tensorflow
from sslkit.errors import UserError, first_line
from sslkit.secrets import hide


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options."""
    parser.add_argument(
        "workdirs",
        nargs="+",
        metavar="W",
        help="the folder of a run, or of several, such as that of a sweep",
    )
    parser.add_argument(
        "--stage",
        metavar="NAME",
        help="compare only this stage of recipes that have several",
    )
    parser.add_argument(
        "--against",
        metavar="LETTER",
        help="the configuration that the others are compared with, as the table names "
        "it (default A, the first)",
    )
    parser.add_argument(
        "--metric",
        action="append",
        default=[],
        metavar="NAME",
        help="also compare the last value of a training metric, e.g. knn_top1; may be "
        "repeated",
    )
    for form, holds in (("csv", "one row per run"), ("json", "the whole comparison")):
        parser.add_argument(
            f"--{form}",
            metavar="FILE",
            help=f"write {holds} to a file; - prints it in place of the tables",
        )


def check(args: argparse.Namespace) -> None:
    """Checks the folders and the files to write."""
    for folder in args.workdirs:
        check_folder("the workdir", folder)
    if args.csv == args.json == "-":
        raise UserError("--csv and --json cannot both be -. Give one of them a file.")
    if args.csv is not None and args.csv == args.json:
        raise UserError(
            f"--csv and --json are both {args.csv}. Give each a file of its own."
        )
    for option in ("csv", "json"):
        path = getattr(args, option)
        if path is not None and path != "-":
            check_target_file(path, f"--{option}")


def run(args: argparse.Namespace) -> int:
    """Prints or writes the comparison."""
    if any("://" in folder for folder in args.workdirs):
        # Buckets are read with TensorFlow, which prints messages as it starts.
        start_tensorflow()
    from sslkit.cli.output import show
    from sslkit.comparison import compare
    from sslkit.comparison.showing import as_csv, rendered

    found = compare(
        args.workdirs, stage=args.stage, against=args.against, metrics=args.metric
    )
    texts = {
        args.csv: lambda: as_csv(found.rows()),
        args.json: lambda: hide(json.dumps(found.to_json(), indent=2)) + "\n",
    }
    if "-" not in texts:
        show(rendered(found))
    for path, text in texts.items():
        if path == "-":
            sys.stdout.write(text())
        elif path is not None:
            _write(path, text())
            print(f"written: {path}", file=sys.stderr)
    return 0


def _write(path: str, text: str) -> None:
    beside = f"{path}.{os.getpid()}"
    try:
        os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
        with open(beside, "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(beside, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            os.remove(beside)
        raise UserError(f"{path} cannot be written: {first_line(error)}.") from error
