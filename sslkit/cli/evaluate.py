"""`sslkit evaluate`: measures the encoder of a run."""

from __future__ import annotations

import argparse
import functools
from typing import TYPE_CHECKING

from sslkit.cli.options import add_run_options, check_workdir
from sslkit.errors import UserError

if TYPE_CHECKING:
    from sslkit.config import Config
    from sslkit.execution import Measured
    from sslkit.training.run import Training
    from sslkit.workdir import Workdir


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options."""
    add_run_options(parser)
    parser.add_argument(
        "--data",
        metavar="NAME",
        help="measure on another dataset: its train split is the bank of neighbours "
        "and trains the linear probe, its test split is scored",
    )
    parser.add_argument(
        "--follow",
        action="store_true",
        help="measure each checkpoint of a run as it appears, until the last",
    )
    parser.add_argument(
        "--poll",
        type=float,
        default=30.0,
        metavar="SECONDS",
        help="with --follow: how often to look for a new checkpoint (default 30)",
    )


def check(args: argparse.Namespace) -> None:
    """Checks the options and the workdir."""
    if args.data is not None and args.follow:
        raise UserError("--follow measures on the run's own data; leave out --data")
    if args.poll <= 0:
        raise UserError(f"--poll is {args.poll:g} seconds; give more than 0")
    check_workdir(args.workdir)


def run(args: argparse.Namespace) -> int:
    """Evaluates the latest checkpoint of a run, or each one as it appears.

    With overrides no result is written, because `result.json` is that of the run's own
    recipe.
    """
    from sslkit.execution import measure
    from sslkit.runs import claimed, reopen
    from sslkit.training.continuing import changed_since

    if args.data is not None:
        args.set.append(f"data.name = {args.data!r}")
    run = claimed(reopen(args.workdir, args.set, data_dir=args.data_dir))
    loaded, training, workdir = run
    print(training.source.summary())
    if args.data is None:
        for line in changed_since(workdir, training.data, ["train", "test"]):
            print(f"note: {line}")
    if args.follow:
        return _follow(args, loaded, training, workdir)
    print(f"step {training.load(workdir)} of {workdir.path}")
    changed = len(args.set) > (args.data is not None) or args.data_dir
    if args.data is not None:
        keep = functools.partial(workdir.write_transfer, data=args.data)
        show(measure(loaded, training, keep, classifier=False))
    else:
        show(measure(loaded, training, None if changed else workdir.write_result))
    return 0


def show(found: Measured) -> None:
    """Prints an evaluation, the images that were skipped, and the file written."""
    from sslkit.cli.output import console

    console().print(found.results.render())
    for line in found.skipped:
        print(line)
    if found.written is not None:
        print("written:", found.written)


def _follow(
    args: argparse.Namespace, loaded: Config, training: Training, workdir: Workdir
) -> int:
    from sslkit.checkpoints import Checkpoints, Damaged, is_whole
    from sslkit.evaluate.following import follow, pause
    from sslkit.execution import measure

    print(
        f"following {workdir.path} to step {training.steps}; Ctrl-C ends it",
        flush=True,
    )
    for prefix in follow(
        Checkpoints(workdir.checkpoints),
        last=training.steps,
        done=lambda step: workdir.result(step) is not None,
        wait=pause(args.poll),
    ):
        try:
            step = training.load(workdir, prefix)
        except Damaged as error:
            # If it does not exist any more, training has removed it meanwhile.
            if is_whole(prefix):
                print(f"{prefix} is damaged and is skipped: {error.reason}")
            continue
        print(f"step {step} of {workdir.path}", flush=True)
        # The baselines are the same for every checkpoint.
        last = step == training.steps
        settings = {} if last else {"baselines": False}
        show(measure(loaded, training, workdir.write_result, **settings))
    return 0
