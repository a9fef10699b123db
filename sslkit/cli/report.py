"""`sslkit report`: one page about what runs have learned."""

from __future__ import annotations

import argparse
import os

from sslkit.arguments import check_folder
from sslkit.cli.options import add_overrides, check_target_file
from sslkit.errors import UserError

_FORMATS = ("html", "md", "png")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options."""
    parser.add_argument(
        "workdirs",
        nargs="+",
        metavar="W",
        help="the folder of a run, or of several, such as that of a sweep",
    )
    parser.add_argument(
        "--to",
        metavar="FILE",
        help="the file to write (default: report.html in the first folder)",
    )
    parser.add_argument(
        "--format",
        choices=_FORMATS,
        help="html: one page with everything; md: only numbers and text; png: one "
        "picture (default: the ending of --to, or html)",
    )
    parser.add_argument(
        "--map",
        choices=("pca", "tsne"),
        default="pca",
        help="how to place the images in the map; pca is fast, tsne is slow (default: "
        "pca)",
    )
    parser.add_argument(
        "--images",
        type=int,
        default=1000,
        metavar="N",
        help="how many images the map shows at most; of more, it shows a random sample "
        "(default 1000)",
    )
    parser.add_argument(
        "--rows",
        type=int,
        default=6,
        metavar="N",
        help="for how many random images the neighbours are shown (default 6)",
    )
    parser.add_argument(
        "--detail",
        type=int,
        default=4,
        metavar="N",
        help="for how many runs images are shown, where runs that differ only in the "
        "seed count as one; 0 reads no data (default 4)",
    )
    add_overrides(parser)


def check(args: argparse.Namespace) -> None:
    """Checks the options, the folders and the file to write."""
    for option, least in (("images", 2), ("rows", 1), ("detail", 0)):
        value = getattr(args, option)
        if value < least:
            raise UserError(f"--{option} is {value}; give {least} or more.")
    for folder in args.workdirs:
        check_folder("the workdir", folder)
    ending = os.path.splitext(args.to or "")[1].lower().removeprefix(".")
    if args.format is None:
        args.format = "html" if args.to is None else ending
    if args.to is None:
        args.to = os.path.join(args.workdirs[0], f"report.{args.format}")
    elif args.format not in _FORMATS:
        raise UserError(
            f"--to {args.to} does not end in .html, .md or .png. Name a file that does."
        )
    elif ending != args.format:
        raise UserError(
            f"--to {args.to} does not end in .{args.format}, but --format is "
            f"{args.format}. Change one of them."
        )
    _check_runs(args.workdirs)
    check_target_file(args.to)


def run(args: argparse.Namespace) -> int:
    """Writes the page; prints where it is and what is missing in it."""
    from sslkit.page import Options, report
    from sslkit.runners import gpus
    from sslkit.status import find_runs
    from sslkit.status.alive import is_alive

    runs = [run for folder in args.workdirs for run in find_runs(folder)]
    if any(map(is_alive, runs)):
        # A run that is still training needs its GPU alone.
        gpus.hide()
    how = Options(
        images=args.images,
        layout=args.map,
        rows=args.rows,
        overrides=args.set,
        data_dir=args.data_dir,
    )
    page = report(args.workdirs, how, detail=args.detail)
    for note in page.content.notes:
        print(f"note: {note}")
    written = page.save(args.to)
    print(f"written: {written}, {len(page.content.runs)} run(s)")
    return 0


def _check_runs(folders: list[str]) -> None:
    """Refuses folders on a disk without a run, before TensorFlow is imported."""
    from sslkit.status import find_runs, read_status

    for folder in folders:
        if "://" in folder:
            continue
        for found in find_runs(folder):
            status = read_status(found)
            if not status.ok and "damaged" not in status.state:
                raise UserError(
                    f"cannot make a report of {folder}: {status.state}. Name the "
                    "workdir of a run, or a folder with several of them."
                )
