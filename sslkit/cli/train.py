"""`sslkit train`: what a recipe says, then its evaluation."""

from __future__ import annotations

import argparse

from sslkit.cli.options import add_recipe_options, add_workdir_option


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options."""
    add_recipe_options(parser)
    add_workdir_option(
        parser,
        holds="the run's folder: checkpoints, metrics, result; an earlier run of the "
        "same recipe in it goes on",
    )


def run(args: argparse.Namespace) -> int:
    """Trains, or goes on, or says that there is nothing left; then evaluates."""
    from sslkit import config
    from sslkit.cli.evaluate import measure
    from sslkit.cli.output import console
    from sslkit.evaluate.report import Report
    from sslkit.train.workdir import Workdir

    loaded = config.load(args.gin, args.set, data_dir=args.data_dir)
    for note in loaded.resolution.notes:
        print(f"note: {note}")
    workdir = Workdir(args.workdir)
    training = loaded.train()
    training.check()
    workdir.claim(loaded.resolution.render(), write=training.runner.is_chief)
    trained = training.run(workdir)
    result = workdir.result()
    if not trained and result is not None:
        print(
            f"{args.workdir} is finished: all {training.steps} steps are done. "
            "Its result:"
        )
        console().print(Report.from_json(result).render())
        return 0
    if training.runner.is_chief:
        measure(loaded, training, workdir.write_result)
        print(f"next: sslkit export --workdir {args.workdir} --to FOLDER")
    return 0
