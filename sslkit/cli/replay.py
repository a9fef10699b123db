"""`sslkit replay`: repeats one step of a run, to see where its numbers go wrong."""

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
        help="the step to repeat; the error message and the name of bad_step_N.json "
        "say which",
    )
    parser.add_argument(
        "--device",
        metavar="DEVICE",
        help="the device to repeat it on, e.g. CPU or GPU:1 (default: a GPU if there "
        "is one)",
    )


def check(args: argparse.Namespace) -> None:
    """Checks the options and the workdir."""
    if args.step < 1:
        raise UserError(f"--step is {args.step}; steps count from 1.")
    check_workdir(args.workdir)


def run(args: argparse.Namespace) -> int:
    """Prints the first value that is not finite; writes nothing."""
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
