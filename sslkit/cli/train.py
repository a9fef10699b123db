"""`sslkit train`: runs a recipe, stage by stage, and evaluates each stage."""

from __future__ import annotations

import argparse
import shlex
from typing import TYPE_CHECKING

from sslkit.arguments import check_folder
from sslkit.cli.options import add_recipe_options, add_workdir_option
from sslkit.cli.stages import (
    check_recipe,
    end_with_chain,
    read_all,
    run_each,
)

if TYPE_CHECKING:
    from sslkit.config import Resolution
    from sslkit.execution import Mode

MODES = ("train-then-evaluate", "train", "evaluate")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options."""
    add_recipe_options(parser)
    add_workdir_option(
        parser,
        holds="the run's folder, for checkpoints, metrics and the result; if it holds "
        "an unfinished run of the same recipe, that run continues; a recipe of several "
        "stages gets one folder in it for each stage",
    )
    parser.add_argument(
        "--mode",
        choices=MODES,
        default=MODES[0],
        help=f"train, evaluate the latest checkpoint, or both (default: {MODES[0]})",
    )
    parser.add_argument(
        "--extend",
        action="store_true",
        help="continue a run although its data has changed, or for more epochs or "
        "steps than it was started with (train.steps if bound, else train.epochs)",
    )


def check(args: argparse.Namespace) -> None:
    """Reads the recipe and refuses its mistakes, before TensorFlow is imported."""
    end_with_chain()
    check_folder("--workdir", args.workdir)
    check_recipe(args)


def run(args: argparse.Namespace) -> int:
    """Trains or continues, or says that all steps are done; then evaluates."""
    from sslkit import config

    stages = read_all(args, workdir=args.workdir)
    if len(stages) > 1:
        return run_each(args, stages)
    ((name, resolution),) = stages.items()
    if name != config.ALONE:
        args.workdir = config.stage_workdir(args.workdir, name)
    return _run_one(resolution, args.workdir, args.mode, extend=args.extend)


def _run_one(resolution: Resolution, folder: str, mode: Mode, *, extend: bool) -> int:
    from sslkit.cli.evaluate import show
    from sslkit.cli.output import console
    from sslkit.evaluate.results import Results
    from sslkit.execution import carry_out

    found = carry_out(resolution, folder, mode=mode, extend=extend)
    if found.measured is not None:
        show(found.measured)
        print(f"next: sslkit report {shlex.quote(folder)}")
        if found.contrasts:
            print(f"next: sslkit audit {shlex.quote(folder)}")
        print(f"next: sslkit export --workdir {shlex.quote(folder)} --to FOLDER")
    elif not found.trained and mode != "evaluate":
        print(f"{folder} is finished: all {found.steps} steps are done.")
        if found.result is not None:
            console().print(Results.from_json(found.result).render())
    return 0
