"""`sslkit replay`: does one step of a run again, to see where it goes bad."""

from __future__ import annotations

import argparse

from sslkit.cli.options import add_run_options, check_workdir
from sslkit.errors import UserError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options."""
    add_run_options(parser)
    parser.add_argument(
        "--step",
        type=int,
        required=True,
        metavar="N",
        help="the step to do again, as a message or bad_step_N.json names it",
    )
    parser.add_argument(
        "--device",
        metavar="DEVICE",
        help="where to do it, e.g. CPU or GPU:1 (default: a GPU if there is one)",
    )


def check(args: argparse.Namespace) -> None:
    """Looks at the options and at the workdir."""
    if args.step < 1:
        raise UserError(f"--step is {args.step}; steps count from 1.")
    check_workdir(args.workdir)


def run(args: argparse.Namespace) -> int:
    """Prints what is not finite first; writes nothing."""
    from sslkit.runs import claimed, reopen
    from sslkit.training.replay import replay

    overrides = list(args.set)
    if args.device is not None:
        device = args.device if ":" in args.device else f"{args.device}:0"
        overrides.append(f"runners.single.device = {device!r}")
    opened = claimed(reopen(args.workdir, overrides, data_dir=args.data_dir))
    for line in replay(opened.training, opened.workdir, args.step):
        print(line)
    return 0
