"""`sslkit bench`: what limits the speed of a recipe, and where a step's time goes."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from sslkit.cli.options import add_recipe_options
from sslkit.cli.stages import check_recipe, read_one
from sslkit.errors import UserError

if TYPE_CHECKING:
    from sslkit.training.run import Training

_PARTS = {
    "views": "views on the device",
    "forward": "forward pass",
    "backward": "backward pass",
    "update": "optimizer",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options."""
    parser.add_argument(
        "what",
        choices=["input", "step"],
        help="input: which is slower, the host that makes views or the model that "
        "takes them; step: which share of a step goes to views, forward pass, backward "
        "pass, optimizer and waiting",
    )
    add_recipe_options(parser)
    parser.add_argument(
        "--seconds",
        type=float,
        default=10,
        help="how long to measure each part (default 10)",
    )


def check(args: argparse.Namespace) -> None:
    """Checks the seconds and reads the recipe."""
    if args.seconds <= 0:
        raise UserError(f"--seconds is {args.seconds:g}; give more than 0")
    check_recipe(args, read_one)


def run(args: argparse.Namespace) -> int:
    """Prints what was measured."""
    from sslkit import config

    training = config.load_resolved(read_one(args)).train()
    training.arithmetic.take()
    training.check()
    (_show_step if args.what == "step" else _show_input)(training, args.seconds)
    for line in training.data.skipped():
        print(line)
    return 0


def _show_input(training: Training, seconds: float) -> None:
    """Prints the views per second of the host and of the model, and the slower one."""
    from sslkit.plan import throughput

    found = throughput.measure(training, seconds=seconds)
    print(f"host makes  {found.host:12,.0f} views/s")
    print(f"model takes {found.model:12,.0f} views/s")
    if training.data.connection is not None:
        print(f"note: the host gets views from {training.data.connection.address}")
    _note_no_accelerator()
    print(f"bottleneck: {found.bottleneck}")
    if found.bottleneck == "host":
        ways = [
            "for small data: data.cache",
            "for more processors: sslkit data-service",
        ]
        if getattr(training.augmentation, "placement", None) == "host":
            ways.insert(0, "on a GPU or TPU: the augmentation's placement = 'device'")
        print(f"next: {'; '.join(ways)}")


def _show_step(training: Training, seconds: float) -> None:
    """Prints which share of a run's step each of its parts takes."""
    from sslkit.plan import throughput

    found = throughput.shares(training, seconds=seconds, say=print)
    whole = found.step + found.waiting
    for name, taken in (
        *((_PARTS[part], taken) for part, taken in found.parts.items()),
        ("waiting for the host", found.waiting),
        ("step of a run", whole),
    ):
        print(f"{name:22}{1e3 * taken:12,.2f} ms {taken / whole:7.1%}")
    print(f"{'a constant batch':22}{found.views / found.step:12,.0f} views/s")
    print(f"{'a run':22}{found.views / whole:12,.0f} views/s")
    if found.run < found.step:
        print("note: the run was not slower than its parts; the difference is noise")
    _note_no_accelerator()


def _note_no_accelerator() -> None:
    import tensorflow as tf

    if all(device.device_type == "CPU" for device in tf.config.list_logical_devices()):
        print("note: this machine has no accelerator; the model runs on the host's")
        print("      cores, and during training host and model share them")
