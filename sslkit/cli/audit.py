"""`sslkit audit`: whether the false negatives that a run found are right."""

from __future__ import annotations

import argparse
import os

from sslkit.cli.options import add_overrides, check_target, check_workdir
from sslkit.errors import UserError
from sslkit.secrets import hide

_MOST_ROWS = 300
"""A picture of more rows would be higher than the 65,536 pixels that can be drawn."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options."""
    parser.add_argument(
        "workdir", metavar="W", help="the run's folder, as given to `sslkit train`"
    )
    add_overrides(parser)
    parser.add_argument(
        "--step",
        type=int,
        metavar="N",
        help="the checkpoint to draw pictures of (default: the latest); the others are "
        "measured too, without pictures",
    )
    parser.add_argument(
        "--images",
        type=int,
        default=1024,
        metavar="N",
        help="how many training images are compared (default 1024)",
    )
    parser.add_argument(
        "--topk",
        type=int,
        metavar="K",
        help="take the K highest scores of each image for false negatives, instead of "
        "what the run takes; for a run that takes none the default is 10",
    )
    parser.add_argument(
        "--threshold",
        type=float,
        metavar="T",
        help="take scores above T, a cosine in [-1, 1], for false negatives, instead "
        "of what the run takes",
    )
    parser.add_argument(
        "--rows",
        type=int,
        default=8,
        metavar="N",
        help="rows per picture, at most 300 (default 8)",
    )


def check(args: argparse.Namespace) -> None:
    """Checks the options and the workdir."""
    check_workdir(args.workdir)
    for option, least in (("images", 2), ("topk", 1), ("rows", 1), ("step", 0)):
        value = getattr(args, option)
        if value is not None and value < least:
            raise UserError(f"--{option} is {value}; give {least} or more.")
    if args.rows > _MOST_ROWS:
        raise UserError(f"--rows is {args.rows}; give {_MOST_ROWS} or less.")
    if args.threshold is not None and not -1 <= args.threshold <= 1:
        raise UserError(
            f"--threshold is {args.threshold}; give a cosine, from -1 to 1."
        )
    check_target(os.path.join(args.workdir, "audit.json"), "the audit")


def run(args: argparse.Namespace) -> int:
    """Prints what was found, and writes it with its pictures into the workdir."""
    from sslkit.auditing import Settings, audit
    from sslkit.auditing.summary import summary
    from sslkit.runs import claimed, reopen

    opened = claimed(reopen(args.workdir, args.set, data_dir=args.data_dir))
    print(opened.training.source.summary())
    found = audit(
        opened,
        Settings(
            images=args.images,
            step=args.step,
            topk=args.topk,
            threshold=args.threshold,
            rows=args.rows,
        ),
    )
    written = found.write(opened.workdir)
    for line in summary(found.found, args.workdir):
        print(hide(line))
    print(f"written: {', '.join(written)}")
    return 0
