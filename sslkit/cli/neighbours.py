"""`sslkit neighbours`: images beside those that are most similar to them."""

from __future__ import annotations

import argparse

from sslkit.cli.options import add_run_options, check_target, check_workdir
from sslkit.errors import UserError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options."""
    add_run_options(parser)
    parser.add_argument(
        "--to", required=True, metavar="FILE", help="the PNG file to write"
    )
    parser.add_argument(
        "--query",
        nargs="+",
        metavar="FILE",
        help="image files to find neighbours of (default: some images of the data)",
    )
    parser.add_argument(
        "--part",
        choices=("train", "test"),
        default="train",
        help="which split of the recipe's data to search; for another dataset add "
        "--set \"data.name = '…'\" (default: train)",
    )
    parser.add_argument(
        "--count",
        type=int,
        default=8,
        metavar="N",
        help="neighbours per image (default 8)",
    )
    parser.add_argument(
        "--rows",
        type=int,
        metavar="N",
        help="without --query: how many images of the data to take (default 6)",
    )


def check(args: argparse.Namespace) -> None:
    """Checks the options, the workdir and the file to write."""
    for option, value in (("--count", args.count), ("--rows", args.rows)):
        if value is not None and value < 1:
            raise UserError(f"{option} is {value}; give 1 or more.")
    if args.query is not None and args.rows is not None:
        raise UserError("--rows is for images of the data; leave it out with --query.")
    if not args.to.lower().endswith(".png"):
        raise UserError(f"{args.to} is not a PNG file; name one that ends in .png.")
    check_workdir(args.workdir)
    check_target(args.to)


def run(args: argparse.Namespace) -> int:
    """Writes a picture with one row per query, and prints the same as text."""
    from sslkit.evaluate.features import frozen
    from sslkit.pictures import contact_sheet, neighbours
    from sslkit.runs import claimed, reopen
    from sslkit.storage import on_disk

    target = on_disk(args.to)
    # What is cheap to check comes first, before the data is read.
    queries = [] if args.query is None else neighbours.from_files(args.query)
    run = claimed(reopen(args.workdir, args.set, data_dir=args.data_dir))
    _, training, workdir = run
    step = training.load(workdir)
    source = training.data.source(args.part)
    print(source.summary())
    queries = queries or neighbours.from_source(source, args.rows or 6)
    if not queries:
        raise UserError("\n".join(training.data.skipped()))
    encoder = training.objective.encoder
    found = neighbours.find(
        frozen(lambda images: encoder(images, training=False)),
        source,
        queries,
        size=training.size,
        count=args.count,
    )
    for line in neighbours.lines(source, queries, found):
        print(line)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot write {target}: {error.strerror}.") from error
    contact_sheet.write(neighbours.sheet(source, queries, found), str(target))
    print(f"step {step} of {workdir.path}: written {args.to}")
    for line in training.data.skipped():
        print(line)
    return 0
