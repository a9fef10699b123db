"""The time of the README's first command, and the quality of its encoder, per seed.

    python benchmarks/first_command.py --seeds 0 1 2 3 4
    python benchmarks/first_command.py --seeds 0 1 --set 'train.epochs = 25'
    python benchmarks/first_command.py --seeds 0 1 --against OTHER/.venv/bin/python

Each seed runs in a separate process. `--against` is the interpreter of an environment
with another version: both run in turn for each seed, each with its own version of the
recipe, and ratios are of pairs. On a shared machine, wall time varies much more than
processor time.
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
from typing import NamedTuple

RECIPE = "gin/fnc_digits_pretrain.gin"


class Taken(NamedTuple):
    """The measures of one command."""

    seconds: float
    """From start to exit, wall time."""
    before: float
    """From start to the first line about steps; NaN if there was none."""
    cpu: float
    """Processor seconds, of user and system."""
    faults: int
    """Page faults: pages that are used for the first time, or again after a release."""
    memory: float
    """The most megabytes in use."""
    top1: dict[str, float]
    """Protocol -> percent of test images that are classified correctly."""


def run(python: str, recipe: str, seed: int, settings: list[str]) -> Taken:
    """Runs the command once.

    Args:
        python: the interpreter of an environment that has sslkit.
        recipe: a path, or the name of a shipped recipe.
        seed: of the run.
        settings: overrides, e.g. `train.epochs = 20`.
    """
    with tempfile.TemporaryDirectory() as folder:
        work = pathlib.Path(folder, "run")
        command = [python, "-P", "-u", "-m", "sslkit", "train", "--gin", recipe]
        for setting in [*settings, f"train.seed = {seed}"]:
            command += ["--set", setting]
        command += ["--workdir", str(work)]
        start, before = time.perf_counter(), float("nan")
        # In an empty folder, a recipe's name means the installed one.
        process = subprocess.Popen(
            command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        assert process.stdout is not None, "a pipe was asked for"
        said = []
        for line in process.stdout:
            if before != before and line.startswith(b"step "):
                before = time.perf_counter() - start
            said.append(line)
        _, status, used = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            sys.exit(b"".join(said).decode() + f"exit code {process.returncode}")
        rows = json.loads((work / "result.json").read_text())["rows"]
    return Taken(
        seconds,
        before,
        used.ru_utime + used.ru_stime,
        used.ru_minflt,
        used.ru_maxrss / 1000,
        {
            row["protocol"]: 100 * row["top1"]
            for row in rows
            if row["representation"] == "trained encoder"
        },
    )


def show(name: str, seed: int, taken: Taken) -> None:
    """Prints one run."""
    scores = ", ".join(f"{what} {score:.2f}" for what, score in taken.top1.items())
    print(
        f"{name} seed {seed}: {taken.seconds:.0f} s, {taken.before:.1f} before the "
        f"first step; processor {taken.cpu:.0f} s; {taken.faults:,} page faults; "
        f"{taken.memory:,.0f} MB; {scores}",
        flush=True,
    )


def spread(values: list[float]) -> str:
    """Returns mean and standard deviation, in words."""
    off = statistics.stdev(values) if len(values) > 1 else 0.0
    return f"{statistics.mean(values):.2f} ± {off:.2f}"


def main() -> None:
    """Runs all seeds and prints their results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gin", default=RECIPE)
    parser.add_argument("--set", action="append", default=[], metavar="BINDING")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--against", metavar="PYTHON")
    args = parser.parse_args()
    # A path is relative to this folder, and the command runs in another one.
    recipe = args.gin
    if recipe != RECIPE and os.path.exists(recipe):
        recipe = os.path.abspath(recipe)
    runs: dict[str, list[Taken]] = {"this": []}
    if args.against:
        runs["other"] = []
    for seed in args.seeds:
        for name, taken in runs.items():
            python = sys.executable if name == "this" else args.against
            settings = args.set if name == "this" else []
            taken.append(run(python, recipe, seed, settings))
            show(name, seed, taken[-1])
    for name, taken in runs.items():
        print(f"{name}, mean and standard deviation over {len(taken)} seeds:")
        for protocol in taken[0].top1:
            print(f"  {protocol}: {spread([one.top1[protocol] for one in taken])}")
        print(f"  seconds: {spread([one.seconds for one in taken])}")
        print(f"  processor seconds: {spread([one.cpu for one in taken])}")
    if args.against:
        pairs = list(zip(runs["other"], runs["this"], strict=True))
        print(
            "other / this, median of pairs: seconds "
            f"{statistics.median(a.seconds / b.seconds for a, b in pairs):.2f}, "
            "processor seconds "
            f"{statistics.median(a.cpu / b.cpu for a, b in pairs):.2f}"
        )


if __name__ == "__main__":
    main()
