"""`sslkit export`: a trained encoder as a SavedModel."""

from __future__ import annotations

import argparse

from sslkit.cli.options import add_run_options


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options."""
    add_run_options(parser)
    parser.add_argument(
        "--to", required=True, metavar="FOLDER", help="where the SavedModel goes"
    )


def run(args: argparse.Namespace) -> int:
    """Exports the encoder of a run's latest checkpoint; prints how to load it."""
    from sslkit.cli.runs import reopen
    from sslkit.export.saved_model import export

    _, training, workdir = reopen(args)
    step = training.load(workdir)
    lines = export(training.objective, args.to, size=training.size)
    print(f"step {step} of {workdir.path} is exported to {args.to}. To load it:\n")
    print(lines)
    return 0
