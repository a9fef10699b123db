"""`sslkit views`: a picture of the views that a recipe makes of the data."""

from __future__ import annotations

import argparse

from sslkit.cli.options import add_recipe_options, check_target
from sslkit.cli.stages import check_recipe, read_one
from sslkit.errors import UserError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options."""
    add_recipe_options(parser)
    parser.add_argument(
        "--to", required=True, metavar="FILE", help="the PNG file to write"
    )
    parser.add_argument(
        "--images",
        type=int,
        default=4,
        metavar="N",
        help="how many images to draw, one row per image (default 4)",
    )


def check(args: argparse.Namespace) -> None:
    """Checks the number of images and the file to write, and reads the recipe."""
    if args.images < 1:
        raise UserError(f"--images is {args.images}; give 1 or more")
    check_target(args.to)
    check_recipe(args, read_one)


def run(args: argparse.Namespace) -> int:
    """Writes a contact sheet: a row per image, a column per view."""
    from sslkit import config
    from sslkit.pictures import contact_sheet
    from sslkit.runners import gpus

    gpus.hide()
    training = config.load_resolved(read_one(args)).train()
    print(training.source.summary())
    sheet = contact_sheet.lines(
        training.source,
        training.bound_augmentation,
        count=args.images,
        seed=training.seed,
    )
    contact_sheet.write(sheet, args.to)
    print(f"written: {args.to}, {len(sheet)} images of {training.source.name}")
    for line in training.data.skipped():
        print(line)
    return 0
