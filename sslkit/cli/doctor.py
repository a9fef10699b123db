"""`sslkit doctor`: what is broken on this machine."""

from __future__ import annotations

import argparse

from sslkit.errors import UserError, first_line


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options."""
    parser.add_argument(
        "--workdir",
        action="append",
        default=[],
        metavar="W",
        help="check that a run's folder or bucket can be written; may be repeated",
    )
    parser.add_argument(
        "--data",
        action="append",
        default=[],
        metavar="D",
        help="check that a folder or bucket of data can be read; may be repeated",
    )
    parser.add_argument(
        "--seconds",
        type=float,
        default=120.0,
        help="how long each import and each access to a folder may take (default 120)",
    )
    parser.add_argument(
        "--report",
        metavar="FILE",
        help="write a text for bug reports, without secrets; - prints it",
    )


def check(args: argparse.Namespace) -> None:
    """Checks the options."""
    from sslkit.arguments import check_folder

    if args.seconds <= 0:
        raise UserError(f"--seconds is {args.seconds:g}; give more than 0")
    for option, paths in (("--workdir", args.workdir), ("--data", args.data)):
        for path in paths:
            check_folder(option, path)


def run(args: argparse.Namespace) -> int:
    """Prints what was found; returns 1 if something is broken."""
    from sslkit.doctor.diagnosis import Request, diagnose

    found = diagnose(
        Request(
            before=args.before,
            workdirs=args.workdir,
            data=args.data,
            seconds=args.seconds,
        )
    )
    if args.report == "-":
        print(found.report(), end="")
        return 1 if found.broken else 0
    for line in found.lines():
        print(line)
    if args.report is not None:
        try:
            with open(args.report, "w", encoding="utf-8") as file:
                file.write(found.report())
        except OSError as error:
            raise UserError(
                f"--report {args.report} cannot be written: {first_line(error)}."
            ) from error
        print(f"written: {args.report}; read it before you paste it anywhere")
    return 1 if found.broken else 0
