"""`sslkit embed`: the features of a dataset."""

from __future__ import annotations

import argparse

from sslkit.cli.options import add_run_options, check_target, check_workdir
from sslkit.errors import UserError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options."""
    add_run_options(parser)
    parser.add_argument(
        "--to",
        required=True,
        metavar="FILE",
        help="the file to write; its name ends in .npz or .tfrecord",
    )
    parser.add_argument(
        "--part",
        choices=("train", "test"),
        default="train",
        help="which split of the recipe's data to read; for another dataset add "
        "--set \"data.name = '…'\" (default: train)",
    )
    parser.add_argument(
        "--batch-size",
        type=int,
        default=256,
        metavar="N",
        help="images per batch (default 256)",
    )
    parser.add_argument(
        "--limit",
        type=int,
        metavar="N",
        help="read at most N examples, a sample that is the same each time",
    )


def check(args: argparse.Namespace) -> None:
    """Checks the numbers, the workdir and the file to write."""
    for option, value in (("--batch-size", args.batch_size), ("--limit", args.limit)):
        if value is not None and value < 1:
            raise UserError(f"{option} is {value}; give 1 or more.")
    check_workdir(args.workdir)
    check_target(args.to)


def run(args: argparse.Namespace) -> int:
    """Encodes a split with a run's latest checkpoint; prints how to read the file."""
    from sslkit.evaluate.features import frozen
    from sslkit.export.embeddings import embed
    from sslkit.runs import claimed, reopen
    from sslkit.training.continuing import changed_since

    run = claimed(reopen(args.workdir, args.set, data_dir=args.data_dir))
    _, training, workdir = run
    step = training.load(workdir)
    encoder = training.objective.encoder
    source = training.data.source(args.part)
    print(source.summary())
    for line in changed_since(workdir, training.data, [args.part]):
        print(f"note: {line}")
    rows = embed(
        frozen(lambda images: encoder(images, training=False)),
        source,
        args.to,
        size=training.size,
        batch_size=args.batch_size,
        limit=args.limit,
    )
    print(
        f"step {step} of {workdir.path}: features, label, index, path and class names "
        f"of {rows:,} examples are in {args.to}"
    )
    for line in training.data.skipped():
        print(line)
    return 0
