"""Kills runs at random moments, repeatedly, and compares the results.

    python tests/faults/soak.py --kinds pretrain linear --times 50 --seed 0

One run of each kind is not interrupted. Others are killed by SIGKILL while they start,
trace, do a step, write a checkpoint, measure kNN, evaluate and export, and are started
again by the same command each time. In the end their results must be those of the first
run, bit for bit: weights, slots, bank, metrics, TensorBoard's curves, accuracies, and
the outputs of an export. Prints a table, and exits with 1 if anything differs, a start
fails or a traceback is printed.

Runs are tiny, and each is a fork of a process that has imported TensorFlow, so a kill
takes seconds; `--processes N` adds N kills of real processes per kind.
"""

from __future__ import annotations

import argparse
import collections
import dataclasses
import os
import pathlib
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from faults import commands, comparison
from faults.commands import Kill
from faults.moments import MOMENTS, TRAINING

_TINY = {
    "size": "8",
    "train.steps": "30",
    "train.batch_size": "8",
    "train.inner_steps": "1",
    "train.log_every": "3",
    "train.checkpoint_every": "2",
    "train.knn_every": "5",
    "backbones.convnet.filters": "(4,)",
    "evaluate.train_limit": "60",
    "evaluate.test_limit": "30",
}
_VIEWS = {
    # Operations on colours take 5 s to compile in each run, and are not tested here.
    "augmentations.fnc.randaugment_layers": "0",
    "augmentations.fnc.strength": "0",
    "objectives.fnc.projection_dim": "4",
    "evaluate.baselines": "False",
}


@dataclasses.dataclass(frozen=True)
class Kind:
    """A recipe, and additional bindings."""

    recipe: str
    settings: dict[str, str]
    starts_from: str | None = None
    """The kind that gives it its weights."""
    exports: str = ""
    """The stage that is exported, if it has stages."""


KINDS = {
    # A bank, a momentum twin, slots of Adam.
    "pretrain": Kind("gin/fnc_digits_pretrain.gin", {**_TINY, **_VIEWS}),
    "linear": Kind("gin/digits_linear.gin", _TINY, starts_from="pretrain"),
    "finetune": Kind("gin/digits_finetune.gin", _TINY, starts_from="pretrain"),
    "staged": Kind(
        "gin/fnc_digits_full.gin",
        {**_TINY, **_VIEWS, "train.steps": "16"},
        exports="linear",
    ),
}


class Soak:
    """The runs of one kind.

    Args:
        kind: which; a key of `KINDS`.
        folder: where its runs go; made anew.
        start: the workdir from which it starts, if any.
        random: draws the moments of kills.
        say: prints a line.
    """

    def __init__(
        self,
        kind: str,
        folder: pathlib.Path,
        *,
        start: pathlib.Path | None,
        random: random.Random,
        say: Callable[[str], None] = print,
    ):
        """Keeps the options; see the class."""
        self.kind = kind
        self._of = KINDS[kind]
        self._folder = folder
        self._start = start
        self._random = random
        self._say = say
        self.kills: collections.Counter[str] = collections.Counter()
        self.amid: collections.Counter[str] = collections.Counter()
        self.wrong: list[str] = []
        folder.mkdir(parents=True)
        self.reference = folder / "whole"
        self._seconds: dict[str, list[float]] = {}

    def train(self, workdir: pathlib.Path) -> list[str]:
        """Returns the command that trains in a folder."""
        settings = dict(self._of.settings)
        if self._start is not None:
            settings["train.initialize"] = repr(str(self._start))
        words = ["train", "--gin", self._of.recipe, "--workdir", str(workdir)]
        for name, value in settings.items():
            words += ["--set", f"{name} = {value}"]
        return words

    def export(self, workdir: pathlib.Path) -> list[str]:
        """Returns the command that exports a run."""
        source = workdir / self._of.exports
        target = workdir.parent / f"{workdir.name}-export" / "encoder"
        return ["export", "--workdir", str(source), "--to", str(target)]

    def go_through(self) -> None:
        """Does the run that is not killed, and measures its phases."""
        for words in (self.train(self.reference), self.export(self.reference)):
            ended = commands.run(words, self._output(self.reference))
            if ended.code != 0:
                raise RuntimeError(self._output(self.reference).read_text())
            for moment, seconds in ended.seconds.items():
                self._seconds.setdefault(moment, []).extend(seconds)
        # From the command to its first step.
        self._seconds["start"] = [2.0]
        self.wanted = self._left(self.reference)

    def survive(self, name: str, kills: Iterable[Kill]) -> None:
        """Does a run that is killed repeatedly, and compares its results."""
        workdir = self._folder / name
        training = [k for k in kills if k.moment in TRAINING]
        self._random.shuffle(training)
        order = [*training, *(k for k in kills if k.moment not in TRAINING)]
        for kill in order:
            words = self.export if kill.moment == "export" else self.train
            if kill.moment == "export" and not self._finish(workdir):
                return
            before = self._aside(workdir)
            ended = commands.run(words(workdir), self._output(workdir), kill)
            if ended.killed:
                self.kills[kill.moment] += 1
                self.amid[kill.moment] += bool(self._aside(workdir) - before)
            # The stage or all stages may go on to the end.
            elif not self._ended_well(ended.code, kill, workdir):
                return
        if not self._finish(workdir):
            return
        ended = commands.run(self.export(workdir), self._output(workdir))
        if ended.code:
            self._wrong(name, f"the export ends with {ended.code}", workdir)
            return
        self.compare(workdir)

    def _finish(self, workdir: pathlib.Path) -> bool:
        ended = commands.run(self.train(workdir), self._output(workdir))
        return self._ended_well(ended.code, None, workdir)

    def _ended_well(self, code: int, kill: Kill | None, workdir: pathlib.Path) -> bool:
        if code == 0:
            return True
        self._wrong(workdir.name, f"a start ends with {code} ({kill})", workdir)
        return False

    def _aside(self, workdir: pathlib.Path) -> set[pathlib.Path]:
        """Returns temporary files that were not renamed."""
        return set(workdir.parent.glob(f"{workdir.name}*/**/.partial-*"))

    def compare(self, workdir: pathlib.Path) -> None:
        """Compares the results of a run with those of the run that was not killed."""
        for line in comparison.differences(self.wanted, self._left(workdir)):
            self._wrong(workdir.name, line, workdir)
        text = self._output(workdir).read_text(errors="replace")
        for word in ("Traceback", "sslkit: unexpected", "sslkit: error"):
            if word in text:
                line = next(line for line in text.splitlines() if word in line)
                self._wrong(workdir.name, line, workdir)

    def _left(self, workdir: pathlib.Path) -> dict[str, object]:
        def look() -> dict[str, object]:
            runs = [workdir]
            if self._of.exports:
                runs = sorted(path for path in workdir.iterdir() if path.is_dir())
            found: dict[str, object] = {
                path.name if self._of.exports else "run": comparison.left_by(path)
                for path in runs
            }
            target = pathlib.Path(self.export(workdir)[-1])
            if target.exists():
                found["export"] = comparison.exported(target)
            return found

        found = commands.ask(look, self._folder)
        # The name of a run is in the configuration of its later stages.
        return _renamed(found, str(workdir), "W")

    def _wrong(self, name: str, line: str, workdir: pathlib.Path) -> None:
        self.wrong.append(f"{self.kind}/{name}: {line}")
        self._say(f"WRONG {self.wrong[-1]} (see {self._output(workdir)})")

    def _output(self, workdir: pathlib.Path) -> pathlib.Path:
        return workdir.with_name(f"{workdir.name}.txt")

    def plan(self, times: int) -> list[list[Kill]]:
        """Returns kills for some runs: in each phase about equally often."""
        # Evaluation and export come once per run, after all others.
        weights = {"start": 8, "trace": 8, "step": 9, "checkpoint": 9, "probe": 8}
        weights |= {"evaluation": 5, "export": 4}
        drawn = self._random.choices(
            list(weights), list(weights.values()), k=max(0, times - len(MOMENTS))
        )
        moments = [*MOMENTS[: min(times, len(MOMENTS))], *drawn]
        self._random.shuffle(moments)
        runs = max(1, round(times / 12))
        return [[self._kill(m) for m in moments[place::runs]] for place in range(runs)]

    def _kill(self, moment: str) -> Kill:
        usual = statistics.median(self._seconds.get(moment, [1.0]))
        count = 1
        if moment in ("step", "checkpoint"):
            count = self._random.randint(1, 3)
        whom = "all"
        if self._of.exports and moment != "export":
            whom = self._random.choice(("all", "all", "stage", "chain"))
        return Kill(moment, count, self._random.random() * usual, whom)

    def kill_processes(self, times: int) -> None:
        """Kills real processes at any time of a run, and compares the results."""
        workdir = self._folder / "processes"
        command = [sys.executable, "-m", "sslkit", *self.train(workdir)]
        began = time.monotonic()
        whole = workdir.with_name("processes-whole")
        subprocess.run(
            [sys.executable, "-m", "sslkit", *self.train(whole)],
            check=True,
            capture_output=True,
        )
        usual = time.monotonic() - began
        with self._output(workdir).open("a") as output:
            for _ in range(times):
                process = subprocess.Popen(command, stdout=output, stderr=output)
                try:
                    process.wait(self._random.random() * usual)
                except subprocess.TimeoutExpired:
                    process.send_signal(signal.SIGKILL)
                    process.wait()
                    self.kills["process"] += 1
            code = subprocess.run(command, stdout=output, stderr=output).returncode
        if self._ended_well(code, None, workdir):
            wanted = {n: v for n, v in self.wanted.items() if n != "export"}
            for line in comparison.differences(wanted, self._left(workdir)):
                self._wrong(workdir.name, line, workdir)


def _renamed(found: object, name: str, to: str) -> dict[str, object]:
    if isinstance(found, dict):
        return {key: _renamed(value, name, to) for key, value in found.items()}
    if isinstance(found, list):
        return [_renamed(value, name, to) for value in found]  # type: ignore[return-value]
    return found.replace(name, to) if isinstance(found, str) else found  # type: ignore[return-value]


def soak(
    kinds: Sequence[str],
    times: int,
    *,
    seed: int,
    folder: pathlib.Path,
    processes: int = 0,
    say: Callable[[str], None] = print,
) -> list[Soak]:
    """Kills runs of some kinds; returns the outcome of each.

    Args:
        kinds: keys of `KINDS`.
        times: kills of each kind.
        seed: of the moments.
        folder: where runs go.
        processes: additional kills of real processes, per kind.
        say: prints a line.
    """
    done = []
    start: pathlib.Path | None = None
    if any(KINDS[kind].starts_from for kind in kinds):
        first = Soak("pretrain", folder / "start", start=None, random=random.Random(0))
        first.go_through()
        start = first.reference
    for kind in kinds:
        one = Soak(
            kind,
            folder / kind,
            start=start if KINDS[kind].starts_from else None,
            random=random.Random(f"{seed} {kind}"),
            say=say,
        )
        one.go_through()
        for place, kills in enumerate(one.plan(times)):
            began = time.monotonic()
            one.survive(f"killed-{place}", kills)
            say(
                f"{kind} {place}: {len(kills)} kills planned, "
                f"{sum(one.kills.values())} done so far, {len(one.wrong)} wrong, "
                f"{time.monotonic() - began:.0f} s"
            )
        if processes:
            one.kill_processes(processes)
        done.append(one)
    return done


def main() -> int:
    """Runs with the options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--times", type=int, default=50, help="kills of each kind")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--processes", type=int, default=0, metavar="N")
    parser.add_argument("--folder", help="where runs are kept; removed unless given")
    args = parser.parse_args()
    place = pathlib.Path(args.folder or tempfile.mkdtemp(prefix="sslkit-soak-"))
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    commands.prepare()
    done = soak(
        args.kinds,
        args.times,
        seed=args.seed,
        folder=place,
        processes=args.processes,
        say=lambda line: print(line, flush=True),
    )
    print(f"{'kind':10}" + "".join(f"{moment:>12}" for moment in (*MOMENTS, "process")))
    for one in done:
        cells = (f"{one.kills[m]} ({one.amid[m]})" for m in (*MOMENTS, "process"))
        print(f"{one.kind:10}" + "".join(f"{cell:>12}" for cell in cells))
    print("in brackets: those that left a file which was not whole yet")
    wrong = [line for one in done for line in one.wrong]
    for line in wrong:
        print(f"WRONG {line}")
    total = sum(sum(one.kills.values()) for one in done)
    print(f"{total} kills, {len(wrong)} differences; seed {args.seed}")
    if not args.folder and not wrong:
        shutil.rmtree(place, ignore_errors=True)
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
