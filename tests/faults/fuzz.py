"""Tries wrong inputs, and checks that each is handled.

    python tests/faults/fuzz.py --count 10000 --seed 0
    python tests/faults/fuzz.py --only images:4711 --seed 0

The inputs are recipes, images, TFRecord files, prepared datasets, checkpoints, records
of runs and plugins, damaged or synthetic. Each must be read, or skipped and named, or
refused in one line: a traceback, a hang or a dead process is a finding. Prints a table
and the findings; exits with 1 if there are any. An input depends only on its kind, its
number and the seed, so `--only` can try one again.

Inputs are tried in child processes, so that an input that ends its process is found,
too.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import json
import math
import os
import pathlib
import select
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from faults.fuzzing import Finding, Target, attempt

_MODULES = {
    "recipes": ("fuzz_recipes", "Recipes", 0.5),
    "images": ("fuzz_images", "Images", 0.3),
    "records": ("fuzz_records", "Records", 0.05),
    "datasets": ("fuzz_records", "Datasets", 0.01),
    "checkpoints": ("fuzz_workdirs", "CheckpointFiles", 0.07),
    "workdirs": ("fuzz_workdirs", "WorkdirFiles", 0.05),
    "plugins": ("fuzz_plugins", "EntryPoints", 0.02),
}
"""Kind -> module, class, and its share of all inputs."""
KINDS = tuple(_MODULES)


def target_class(kind: str) -> type[Target]:
    """Imports the target of a kind, and TensorFlow if it is used."""
    module, name, _ = _MODULES[kind]
    return getattr(__import__(f"faults.{module}", fromlist=[name]), name)


def fuzz(
    kind: str,
    count: int,
    *,
    seed: int,
    say: Callable[[str], None],
    first: int = 0,
) -> tuple[collections.Counter[str], list[str]]:
    """Tries inputs of one kind in child processes, which are replaced if they die.

    Args:
        kind: one of `KINDS`.
        count: how many.
        seed: of all of them.
        say: prints a line.
        first: number of the first.

    Returns:
        The number of inputs per outcome, and the findings.
    """
    outcomes: collections.Counter[str] = collections.Counter()
    found: list[str] = []
    start, stop = first, first + count
    while start < stop:
        tried = _child(kind, start, stop, seed, outcomes, found, say)
        if tried == start - 1:
            # No input was tried: the target cannot be set up.
            break
        start = tried + 1
    return outcomes, found


def _child(
    kind: str,
    start: int,
    stop: int,
    seed: int,
    outcomes: collections.Counter[str],
    found: list[str],
    say: Callable[[str], None],
) -> int:
    """Tries inputs from `start` on until one ends the child; returns the last."""
    reading, writing = os.pipe()
    sys.stdout.flush()
    pid = os.fork()
    if not pid:
        os.close(reading)
        _try_all(kind, start, stop, seed, writing)
    os.close(writing)
    last, why = start - 1, ""
    limit = 120.0  # for TensorFlow to start
    with os.fdopen(reading, "rb", buffering=0) as pipe:
        text = b""
        while True:
            if not select.select([pipe], [], [], limit)[0]:
                os.kill(pid, signal.SIGKILL)
                why = f"hangs, for {limit:g} s"
                break
            piece = pipe.read(65536)
            if not piece:
                break
            *lines, text = (text + piece).split(b"\n")
            for line in map(json.loads, lines):
                limit = line.get("limit", limit)
                last = line.get("begins", last)
                if "outcome" in line:
                    outcomes[line["outcome"]] += 1
                if "found" in line:
                    outcomes["found"] += 1
                    found.append(line["found"])
                    say(f"FOUND {line['found']}")
    _, status = os.waitpid(pid, 0)
    code = os.waitstatus_to_exitcode(status)
    if code != 0:
        why = why or f"ends the process with {code}"
        outcomes["found"] += 1
        found.append(f"{kind}:{last} of seed {seed}: {why}")
        say(f"FOUND {found[-1]}")
    return last


def _try_all(kind: str, start: int, stop: int, seed: int, pipe: int) -> None:
    """Runs in a child: prints lines with each input and its outcome."""

    def tell(**line: object) -> None:
        os.write(pipe, json.dumps(line).encode() + b"\n")

    code = 1
    try:
        # Decoders write to it, too.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        with tempfile.TemporaryDirectory(prefix="sslkit-fuzz-") as folder:
            target = target_class(kind)(pathlib.Path(folder))  # type: ignore[call-arg]
            tell(limit=2 * target.seconds + 10)
            for number in range(start, stop):
                tell(begins=number)
                try:
                    tell(outcome=attempt(target, number, seed))
                except Finding as error:
                    tell(found=str(error))
        code = 0
    except BaseException as error:
        with contextlib.suppress(OSError):
            tell(found=f"{kind}: cannot be set up: {type(error).__name__}: {error}")
        raise
    finally:
        os._exit(code)


def _counts(kinds: Sequence[str], count: int) -> dict[str, int]:
    """Distributes inputs among kinds."""
    shares = {kind: _MODULES[kind][2] for kind in kinds}
    whole = sum(shares.values())
    return {kind: math.ceil(count * share / whole) for kind, share in shares.items()}


def main() -> int:
    """Runs with the options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--count", type=int, default=10_000, help="of all kinds")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", metavar="KIND:NUMBER", help="one input alone")
    args = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ["KERAS_BACKEND"] = "tensorflow"
    os.environ["SSLKIT_PROGRAMS"] = "off"
    if args.only:
        kind, _, number = args.only.partition(":")
        with tempfile.TemporaryDirectory(prefix="sslkit-fuzz-") as folder:
            target = target_class(kind)(pathlib.Path(folder))  # type: ignore[call-arg]
            print(attempt(target, int(number), args.seed))
        return 0
    from faults.commands import check_forkable

    counts = _counts(args.kinds, args.count)
    check_forkable()
    everything: list[str] = []
    table = []
    for kind, count in counts.items():
        began = time.monotonic()
        outcomes, found = fuzz(
            kind, count, seed=args.seed, say=lambda line: print(line, flush=True)
        )
        everything += found
        row = [outcomes[name] for name in ("read", "skipped", "refused", "found")]
        seconds = time.monotonic() - began
        table.append((kind, sum(row), *row, f"{seconds:.0f}"))
        print(f"{kind:12} {sum(row):6} inputs, {seconds:.0f} s", flush=True)
    heads = ("kind", "inputs", "read", "skipped", "refused", "found", "seconds")
    for line in (heads, *table):
        print("".join(f"{cell!s:>12}" for cell in line))
    return 1 if everything else 0


if __name__ == "__main__":
    raise SystemExit(main())
