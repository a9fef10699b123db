"""`sslkit sweep`: one run for each combination of values, each in its own process."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections.abc import Sequence

from sslkit.arguments import check_folder
from sslkit.cli.options import add_recipe_options, add_workdir_option
from sslkit.cli.stages import CHAIN
from sslkit.errors import Stopped, UserError, first_line
from sslkit.secrets import hide
from sslkit.sweeps import (
    Ended,
    Job,
    Outcome,
    Planned,
    is_done,
    plan,
    read_overs,
    run_jobs,
)

RESTART = 75
"""The exit code of a run that the same command can continue."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options."""
    add_recipe_options(parser)
    parser.add_argument(
        "--over",
        action="append",
        required=True,
        metavar="'NAME = VALUES'",
        help="a setting and its values, e.g. 'train.seed = 0..4' or "
        "'objectives.fnc.topk = [5, 10]'; if repeated, there is a run for each "
        "combination of values",
    )
    add_workdir_option(
        parser,
        holds="the folder of the sweep; each run gets a folder in it that is named by "
        "its values; the same command continues an unfinished sweep",
    )
    parser.add_argument(
        "--jobs",
        type=int,
        default=1,
        metavar="N",
        help="how many runs train at the same time on this machine (default 1)",
    )
    parser.add_argument(
        "--print",
        action="store_true",
        help="only print the command of each run, one per line, for SLURM arrays and "
        "the like",
    )


def check(args: argparse.Namespace) -> None:
    """Reads every run's recipe and refuses its mistakes, before a run is started."""
    check_folder("--workdir", args.workdir)
    if args.jobs < 1:
        raise UserError(f"--jobs is {args.jobs}; give 1 or more.")
    if "://" in args.workdir and not args.print:
        raise UserError(
            f"{args.workdir} is in a bucket, where a sweep cannot see which runs are "
            "finished. Add --print to get the commands, and run them yourself."
        )
    args.planned = plan(
        args.gin,
        read_overs(args.over),
        settings=args.set,
        workdir=args.workdir,
        stage=args.stage,
        data_dir=args.data_dir,
    )


def run(args: argparse.Namespace) -> int:
    """Runs what is left of the sweep, or prints it; returns 1 if a run failed."""
    if args.print:
        for one in args.planned:
            print(shlex.join(["sslkit", *_words(args, one)]))
        return 0
    left = [one for one in args.planned if not is_done(one)]
    done = len(args.planned) - len(left)
    print(f"{_runs(len(args.planned))} in {args.workdir}", flush=True)
    if done:
        print(f"finished already, and skipped: {done}", flush=True)
    if not left:
        print(f"next: sslkit compare {shlex.quote(args.workdir)}")
        return 0
    return _summarise(args, done, left, _run(args, left))


def _run(args: argparse.Namespace, left: Sequence[Planned]) -> Outcome:
    logs = os.path.join(args.workdir, "logs")
    try:
        os.makedirs(logs, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"the folder {logs} cannot be made: {first_line(error)}."
        ) from error
    jobs = [
        Job(
            one.name,
            # -P: files in the current folder must not be imported as modules.
            [sys.executable, "-P", "-m", "sslkit", *_words(args, one)],
            os.path.join(logs, f"{one.name}.log"),
        )
        for one in left
    ]
    places = {job.name: f"{place} of {len(jobs)}" for place, job in enumerate(jobs, 1)}
    return run_jobs(
        jobs,
        at_once=args.jobs,
        variables={CHAIN: str(os.getpid())},
        started=lambda job: print(
            f"{job.name}, {places[job.name]}: started; its output goes to {job.log}",
            flush=True,
        ),
        ended=lambda one: print(f"{one.job.name}: {_how(one)}", flush=True),
        stopping=lambda count: print(
            f"stopping: waiting for {_runs(count)} to save; press Ctrl-C again to stop "
            "at once",
            flush=True,
        ),
    )


def _summarise(
    args: argparse.Namespace, done: int, left: Sequence[Planned], found: Outcome
) -> int:
    """Prints how the runs ended; returns the exit code."""
    done += sum(one.code == 0 for one in found.ended)
    failed = [one for one in found.ended if one.code not in (0, RESTART)]
    if found.signal is not None:
        missing = len(args.planned) - done
        raise Stopped(
            f"stopped by {found.signal.name}; finished: {done} of "
            f"{len(args.planned)} runs, left: {missing}"
        )
    print(f"finished: {done} of {len(args.planned)} runs")
    again = [one for one in found.ended if one.code == RESTART]
    for what, ones in (("failed", failed), ("to be started again", again)):
        if ones:
            print(f"{what}: {len(ones)}")
        for one in ones:
            last = hide(one.last_line) or "no output"
            print(f"  {one.job.name}: exit code {one.code}: {last} ({one.job.log})")
    if failed or again:
        print("the same command goes on with these and skips what is finished")
    if done > 1:
        print(f"next: sslkit compare {shlex.quote(args.workdir)}")
    return 1 if failed else RESTART if again else 0


def _words(args: argparse.Namespace, one: Planned) -> list[str]:
    """Returns the command of a run, after the program's name."""
    words = ["train"]
    for recipe in args.gin:
        words += ["--gin", recipe]
    for setting in one.settings:
        words += ["--set", setting]
    if args.stage is not None:
        words += ["--stage", args.stage]
    if args.data_dir is not None:
        words += ["--data-dir", args.data_dir]
    words += ["--workdir", one.folder]
    return [*words, "--debug"] if args.debug else words


def _how(one: Ended) -> str:
    from sslkit.training.progress import duration

    time = duration(round(one.seconds))
    if one.code == 0:
        return f"finished in {time}"
    if one.code == RESTART:
        return f"stopped after {time}; it can go on"
    return f"failed after {time} with exit code {one.code}"


def _runs(count: int) -> str:
    return f"{count} run{'s' * (count != 1)}"
