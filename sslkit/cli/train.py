"""`sslkit train`: what a recipe says, stage by stage, each with its evaluation."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from sslkit.cli.options import add_recipe_options, add_workdir_option
from sslkit.cli.stages import ALONE, read_all, run_each

if TYPE_CHECKING:
    from sslkit.config import Resolution

MODES = ("train-then-evaluate", "train", "evaluate")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options."""
    add_recipe_options(parser)
    add_workdir_option(
        parser,
        holds="the run's folder: checkpoints, metrics, result; an earlier run of the "
        "same recipe in it goes on; of a recipe of several stages, a folder in it for "
        "each",
    )
    parser.add_argument(
        "--mode",
        choices=MODES,
        default=MODES[0],
        help="what to do; evaluate measures the latest checkpoint (default: "
        f"{MODES[0]})",
    )


def run(args: argparse.Namespace) -> int:
    """Trains, or goes on, or says that there is nothing left; then evaluates."""
    from sslkit import config

    stages = read_all(args, workdir=args.workdir)
    if len(stages) > 1:
        return run_each(args, stages)
    ((name, resolution),) = stages.items()
    if name != ALONE:
        args.workdir = config.stage_workdir(args.workdir, name)
    return _run_one(resolution, args.workdir, args.mode)


def _run_one(resolution: Resolution, folder: str, mode: str) -> int:
    from sslkit import config, runs
    from sslkit.cli.evaluate import measure
    from sslkit.cli.output import console
    from sslkit.evaluate.report import Report
    from sslkit.workdir import Workdir

    loaded = config.load_resolved(resolution)
    for note in resolution.notes:
        print(f"note: {note}")
    workdir = Workdir(folder)
    training = loaded.train()
    training.check()
    config.claim(workdir, resolution.render(), write=training.runner.is_chief)
    if mode == "evaluate":
        print(f"step {training.load(workdir)} of {folder}")
    else:
        trained = training.run(workdir, measures=runs.measures(training))
        result = workdir.result()
        measured = result is not None and result["step"] == training.steps
        if not trained and (mode == "train" or measured):
            print(f"{folder} is finished: all {training.steps} steps are done.")
            if result is not None:
                console().print(Report.from_json(result).render())
            return 0
    if training.runner.is_chief and mode != "train":
        measure(loaded, training, workdir.write_result)
        print(f"next: sslkit export --workdir {folder} --to FOLDER")
    return 0
