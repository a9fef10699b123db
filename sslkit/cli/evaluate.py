"""`sslkit evaluate`: measure the encoder of a run."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from sslkit.cli.options import add_run_options

if TYPE_CHECKING:
    from sslkit.config import Config
    from sslkit.train.run import Training
    from sslkit.train.workdir import Workdir


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options."""
    add_run_options(parser)


def run(args: argparse.Namespace) -> int:
    """Evaluates the latest checkpoint of a run.

    With overrides, such as another dataset, nothing is written: the run's result is
    that of its own recipe.
    """
    from sslkit.cli.runs import reopen

    loaded, training, workdir = reopen(args)
    print(f"step {training.load(workdir)} of {workdir.path}")
    measure(loaded, training, None if args.set or args.data_dir else workdir)
    return 0


def measure(loaded: Config, training: Training, workdir: Workdir | None) -> None:
    """Evaluates the encoder as it is and prints the report.

    Args:
        loaded: the configuration.
        training: holds the encoder.
        workdir: where the result is written too; None to print alone.
    """
    from sslkit.cli.output import console

    report = loaded.evaluate(
        objective=training.objective,
        data=training.data,
        size=training.size,
        seed=training.seed,
        untrained=training.untrained_encoder,
    )
    console().print(report.render())
    for line in training.data.skipped():
        print(line)
    if workdir is not None:
        step = int(training.state.step.numpy())
        print("written:", workdir.write_result({"step": step, **report.to_json()}))
