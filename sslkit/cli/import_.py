"""`sslkit import`: published TensorFlow 1 weights as a checkpoint of this package."""

from __future__ import annotations

import argparse
import shlex


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options."""
    parser.add_argument(
        "checkpoint",
        metavar="CHECKPOINT",
        help="the prefix of the checkpoint, such as model.ckpt-1234, or its folder",
    )
    parser.add_argument(
        "--to",
        required=True,
        metavar="FOLDER",
        help="the folder to write the imported checkpoint to; runs start from it with "
        "train.initialize",
    )
    parser.add_argument(
        "--schema",
        metavar="REGEX",
        help="the published setting variable_schema: only variables whose names begin "
        "with a match are imported",
    )


def run(args: argparse.Namespace) -> int:
    """Imports a checkpoint; prints what was imported and how to start from it."""
    from sslkit.published.importing import import_published
    from sslkit.runners import gpus

    gpus.hide()
    found = import_published(args.checkpoint, args.to, schema=args.schema)
    print(found.report)
    print(f"\n{found.architecture}: written to {found.checkpoint}")
    start = shlex.quote(f"train.initialize = {args.to!r}")
    print(
        f"next: sslkit train --gin RECIPE --gin {shlex.quote(found.part)} --workdir W "
        f"--set {start}"
    )
    return 0
