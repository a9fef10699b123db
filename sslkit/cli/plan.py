"""`sslkit plan`: what a recipe will cost, before a machine is rented."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from sslkit.cli.options import add_recipe_options
from sslkit.cli.stages import check_recipe, read_all
from sslkit.config import ALONE
from sslkit.errors import UserError

if TYPE_CHECKING:
    from rich.table import Table

    from sslkit.config import Resolution
    from sslkit.plan.planning import Outlook, Plan

_HOST_SECONDS = 3.0
_UNITS = ("B", "kB", "MB", "GB", "TB")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options."""
    add_recipe_options(parser)
    parser.add_argument(
        "--replicas",
        type=int,
        metavar="N",
        help="the number of devices that share the batch (default: 32 for the runner "
        "tpu, 1 for the others)",
    )
    parser.add_argument(
        "--examples",
        type=int,
        metavar="N",
        help="the number of training images, for data that is not on this machine, "
        "e.g. 1281167; the speed of the host is not measured then",
    )
    parser.add_argument(
        "--utilisation",
        type=float,
        metavar="SHARE",
        help="the share of each device's peak FLOP/s that training reaches (default: "
        "0.15 for accelerators, the share that SimCLR's published run on TPUs reached)",
    )


def check(args: argparse.Namespace) -> None:
    """Checks the numbers and reads the recipe."""
    if args.replicas is not None and args.replicas < 1:
        raise UserError(f"--replicas is {args.replicas}; give 1 or more")
    if args.examples is not None and args.examples < 1:
        raise UserError(f"--examples is {args.examples}; give 1 or more")
    if args.utilisation is not None and not 0 < args.utilisation <= 1:
        raise UserError(
            f"--utilisation is {args.utilisation:g}; give more than 0 and at most 1"
        )
    check_recipe(args)


def run(args: argparse.Namespace) -> int:
    """Prints what each stage costs and how long it runs on several devices."""
    from sslkit.runners import gpus

    gpus.hide()  # Nothing runs on them.
    for name, resolution in read_all(args, workdir="W").items():
        if name != ALONE:
            print(f"stage {name}")
        _run_one(args, resolution)
    return 0


def _run_one(args: argparse.Namespace, resolution: Resolution) -> None:
    from sslkit import config
    from sslkit.cli.output import show
    from sslkit.plan.devices import RENTED, this_cpu
    from sslkit.plan.placeholders import PlaceholderData, PlaceholderRunner
    from sslkit.plan.planning import outlook, plan

    loaded = config.load_resolved(resolution)
    replicas = args.replicas or (32 if "runners.tpu" in resolution.targets() else 1)
    parts: dict[str, Any] = {"runner": PlaceholderRunner(replicas=replicas)}
    if args.examples is not None:
        parts["data"] = PlaceholderData(args.examples)
    training = loaded.train(**parts)
    try:
        training.source  # noqa: B018 - opens the data, which is what may fail
    except UserError as error:
        raise UserError(
            f"{str(error).rstrip('.')}. To plan without the data, give the number of "
            "its training images: --examples N."
        ) from error
    found = plan(training, host_seconds=0 if args.examples else _HOST_SECONDS)
    for line in _lines(found):
        print(line)
    devices = [this_cpu(), *RENTED]
    outlooks = [outlook(found, d, utilisation=args.utilisation) for d in devices]
    show(_table(outlooks))
    for one in outlooks:
        print(f"{one.device.name}: {one.breaks or 'nothing breaks'}")


def _lines(found: Plan) -> list[str]:
    flops_per_view = found.flops / found.views_per_step
    host = (
        "not measured"
        if found.views_per_core is None
        else f"{found.views_per_core:,.0f} views/s per core of this machine"
    )
    return [
        f"{found.steps:,} steps, {found.epochs:.4g} epochs: {found.images:,} images, "
        f"{found.views:,} views; {found.replicas} replica(s) of "
        f"{found.views_per_step // found.replicas:,} views",
        f"{found.parameters:,} trained parameters; state {_bytes(found.state_bytes)} "
        f"per replica, {_bytes(found.bank_bytes)} of it neither trained nor of the "
        "optimizer",
        f"{found.flops:.3g} FLOPs per step ({flops_per_view:.3g} per view), "
        f"{found.flops * found.steps:.3g} in all, {_precision(found)}",
        f"activations: {_bytes(found.replica.kept_bytes)} per replica if only the "
        "results of convolutions are kept and the rest is computed again, "
        f"{_bytes(found.replica.live_bytes)} if all are kept",
        f"input {_bytes(found.input_bytes)} per step; host: {host}",
    ]


def _precision(found: Plan) -> str:
    if found.bfloat16:
        return "bfloat16"
    return "float32" if found.tf32 else "float32, TF32 off"


def _table(outlooks: list[Outlook]) -> Table:
    from rich import box
    from rich.table import Table

    from sslkit.training.progress import duration

    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("device", no_wrap=True)
    for name in ("peak used", "run", "step", "memory", "views per host", "bytes"):
        table.add_column(name, justify="right", no_wrap=True)
    for one in outlooks:
        table.add_row(
            one.device.name,
            f"{100 * one.utilisation:.0f}%",
            duration(3600 * one.hours),
            duration(one.step_seconds),
            f"{_bytes(one.memory_needed)} of {_bytes(one.device.memory)}",
            f"{one.host_views:,.0f}/s",
            f"{_bytes(one.host_bytes)}/s",
        )
    return table


def _bytes(count: float) -> str:
    place = 0
    while count >= 1000 and place < len(_UNITS) - 1:
        count, place = count / 1000, place + 1
    return f"{count:.3g} {_UNITS[place]}"
