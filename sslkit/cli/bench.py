"""`sslkit bench input`: whether the host or the model sets the pace of a recipe."""

from __future__ import annotations

import argparse

from sslkit.cli.options import add_recipe_options
from sslkit.cli.stages import check_recipe, read_one
from sslkit.errors import UserError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options."""
    parser.add_argument("what", choices=["input"], help="what to measure")
    add_recipe_options(parser)
    parser.add_argument(
        "--seconds",
        type=float,
        default=10,
        help="how long each half is measured (default 10)",
    )


def check(args: argparse.Namespace) -> None:
    """Looks at the seconds and reads the recipe."""
    if args.seconds <= 0:
        raise UserError(f"--seconds is {args.seconds:g}; give more than 0")
    check_recipe(args, read_one)


def run(args: argparse.Namespace) -> int:
    """Prints views a second of the host and of the model, and the slower of them."""
    import tensorflow as tf

    from sslkit import config
    from sslkit.plan import throughput

    training = config.load_resolved(read_one(args)).train()
    training.arithmetic.take()
    training.check()
    found = throughput.measure(training, seconds=args.seconds)
    accelerated = any(
        device.device_type != "CPU" for device in tf.config.list_logical_devices()
    )
    print(f"host makes  {found.host:12,.0f} views/s")
    print(f"model takes {found.model:12,.0f} views/s")
    if training.data.connection is not None:
        print(f"note: the host gets them from {training.data.connection.address}")
    if not accelerated:
        print("note: there is no accelerator here; the model runs on the host's cores,")
        print("      and in training the two share them")
    print(f"bottleneck: {found.bottleneck}")
    if found.bottleneck == "host":
        print(
            "next: placement = 'device' of the augmentation, data.cache for small data "
            "or more processors: sslkit data-service"
        )
    for line in training.data.skipped():
        print(line)
    return 0
