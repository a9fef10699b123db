"""The complete check of a GPU: one table, each row a ratio measured in the same run.

    python benchmarks/gpu.py --data-dir D          # under eight minutes on an H100
    python benchmarks/gpu.py --size toy            # whether it runs; on a CPU, too
    python benchmarks/gpu.py --only steps resume   # a part of it

- steps: the training step on a constant batch, against plain Keras and PyTorch, in
  float32, TF32 and bfloat16; with ten views, momentum encoder and memory bank
- command: `sslkit train` as a user types it, against a constant batch; the share of its
  step that the views on the device take; first and second start
- resume: a run that was killed and resumed, against one that was not, bit for bit
- accuracy: a short run in both precisions

Steps are compiled in parallel and timed one by one, each in a separate process. The row
of a part that does not run says so. After --limit seconds nothing more is started. One
line of JSON per row goes to --out.
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from typing import IO, Any

from gpu_rows import Row, compared, equal_arrays, last_line, show
from gpu_sizes import SIZES, Size

HERE = pathlib.Path(__file__).resolve().parent
SSLKIT = [sys.executable, "-P", "-m", "sslkit"]
DETERMINISTIC = "train.deterministic = True"
PRECISION = "train.precision = '{}'"


class Check:
    """Runs the parts and collects their rows.

    Args:
        size: the sizes of all parts.
        folder: for workdirs.
        data_dir: where `cifar10_subset` is; None for the digits, which need no folder.
        ends: the time after which nothing more is started, by `time.monotonic`.
    """

    def __init__(
        self, size: Size, folder: pathlib.Path, data_dir: str | None, ends: float
    ):
        """Keeps the options; see the class."""
        self.size = size
        self.folder = folder
        self.ends = ends
        self._cifar = data_dir is not None
        self._data = []
        if data_dir is not None:
            self._data = ["--data-dir", data_dir]
            self._data += ["--set", "data.name = 'cifar10_subset'"]
            # The recipe's is after the end of short runs.
            self._data += ["--set", "objectives.fnc.detection_start = 0"]

    @property
    def left(self) -> float:
        """Returns the seconds in which parts may still be started."""
        return self.ends - time.monotonic()

    def recipe(self, *bindings: str) -> list[str]:
        """Returns the options for the recipe."""
        name = "fnc_cifar10_pretrain" if self._cifar else "fnc_digits_pretrain"
        options = ["--gin", f"gin/{name}.gin", *self._data]
        for binding in (*self.size.overrides, "train.knn_every = 0", *bindings):
            options += ["--set", binding]
        return options

    # Steps on a constant batch.

    def steps(self) -> Iterator[Row]:
        """Compares steps on a constant batch."""
        rates: dict[str, dict[str, Any]] = {}
        for group in self._groups():
            if self.left < 0:
                break
            rates |= self._timed(group)
        for network in self.size.networks:
            base = f"ours:{network}:bfloat16"
            for who in ("plain", "torch-compiled", "torch"):
                yield compared(rates, base, f"{who}:{network}:bfloat16")
            for precision in ("tf32", "float32"):
                yield compared(rates, base, f"ours:{network}:{precision}")
        large = self.size.networks[0]
        yield compared(rates, f"ours:{large}:bfloat16", f"fnc:{large}:bfloat16")
        for case in ("ours", "plain"):
            name = f"{case}:{large}:bfloat16"
            first = rates.get(name, {}).get("first_seconds")
            if first is not None:
                yield Row(f"first step, {name}", f"{first:.1f} s", "", None)

    def _groups(self) -> Iterator[list[str]]:
        """Yields groups of cases that fit in the device's memory together."""
        large, *small = self.size.networks
        yield [f"{who}:{large}:bfloat16" for who in ("ours", "plain", "torch-compiled")]
        yield [f"ours:{large}:tf32", f"ours:{large}:float32", f"torch:{large}:bfloat16"]
        group = [f"fnc:{large}:bfloat16"]
        for network in small:
            group += [f"ours:{network}:{p}" for p in ("bfloat16", "tf32", "float32")]
            group += [
                f"{who}:{network}:bfloat16"
                for who in ("plain", "torch-compiled", "torch")
            ]
        yield group

    def _timed(self, cases: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Compiles some cases in parallel, and then times them one by one."""
        running = {case: self._case(case) for case in cases}
        found: dict[str, dict[str, Any]] = {}
        try:
            for case, process in running.items():
                found[case] = self._answer(case, process)
            for case, process in running.items():
                if "first_seconds" in found[case]:
                    assert process.stdin is not None
                    process.stdin.write("go\n")
                    process.stdin.flush()
                    found[case] |= self._answer(case, process)
        finally:
            for process in running.values():
                process.kill()
                process.communicate()
        return found

    def _case(self, case: str) -> subprocess.Popen[str]:
        who, network, _ = case.split(":")
        images = self.size.fnc_images if who == "fnc" else self.size.images
        with self._errors(case).open("w") as errors:
            return self._open(case, network, images, errors)

    def _open(
        self, case: str, network: str, images: int, errors: IO[str]
    ) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [
                sys.executable,
                str(HERE / "gpu_step.py"),
                case,
                f"--size={self.size.pixels[network]}",
                f"--images={images}",
                f"--seconds={self.size.seconds}",
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )

    def _answer(self, case: str, process: subprocess.Popen[str]) -> dict[str, Any]:
        """Returns the next line of a case; if there is none, the error."""
        assert process.stdout is not None
        while line := process.stdout.readline():
            if line.startswith("{"):
                return json.loads(line)
        return {"error": last_line([self._errors(case).read_text()])}

    def _errors(self, case: str) -> pathlib.Path:
        return self.folder / f"{case.replace(':', '_')}.err"

    # The command.

    def command(self) -> Iterator[Row]:
        """Runs the user's command twice, and the parts of its step."""
        kept = str(self.folder / "programs")
        starts, rate, output = [], None, ""
        for place in ("first", "second"):
            workdir = self.folder / f"command_{place}"
            steps = f"train.steps = {self.size.steps}"
            options = ["--mode", "train", "--workdir", str(workdir)]
            started = time.monotonic()
            lines = self._watched(
                ["train", *self.recipe(steps), *options], SSLKIT_PROGRAMS=kept
            )
            for seconds, line in lines:
                output = line
                if " the step" in line and " took " in line:
                    starts.append(seconds - started)
                    yield Row(
                        f"{place} start, to the first step",
                        f"{starts[-1]:.1f} s",
                        f"{starts[0]:.1f} s",
                        starts[-1] / starts[0],
                        line,
                    )
                if match := re.search(r"([\d,]+) views/s", line):
                    rate = float(match[1].replace(",", ""))
        if rate is None:
            yield Row("end to end", "", "", None, output)
            return
        bench = ["bench", "step", *self.recipe(), f"--seconds={self.size.seconds}"]
        parts: dict[str, str] = {}
        for _, line in self._watched(bench, SSLKIT_PROGRAMS=kept):
            output = line
            parts[line[:22].strip()] = line[22:].strip()
        try:
            constant = float(parts["a constant batch"].split()[0].replace(",", ""))
        except (KeyError, ValueError, IndexError):
            yield Row("end to end", f"{rate:,.0f} views/s", "", None, output)
            return
        yield Row(
            "end to end against a constant batch",
            f"{rate:,.0f} views/s",
            f"{constant:,.0f} views/s",
            rate / constant,
        )
        for name, text in parts.items():
            if match := re.fullmatch(r"([\d.,]+ ms)\s+([\d.]+)%", text):
                share = float(match[2]) / 100
                yield Row(f"share of a run's step: {name}", match[1], "", share)

    def _watched(
        self, arguments: Sequence[str], **environment: str
    ) -> Iterator[tuple[float, str]]:
        """Runs the command; yields its lines, with their times."""
        with subprocess.Popen(
            [*SSLKIT, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1", **environment},
            cwd=HERE.parent,
        ) as process:
            assert process.stdout is not None
            for line in process.stdout:
                yield time.monotonic(), line.rstrip()

    # Bit equality.

    def resume(self) -> Iterator[Row]:
        """Compares a run that was killed and resumed with one that was not."""
        for name, bindings in (("default", ()), ("deterministic", (DETERMINISTIC,))):
            if self.left < 0:
                return
            whole, again, cut = (
                self.folder / f"{name}_{kind}" for kind in ("whole", "again", "cut")
            )
            running = [self._started(path, bindings) for path in (whole, again)]
            killed = self._kill_half_way(cut, bindings)
            said = [process.communicate()[0] for process in running]
            if killed:
                said.append(self._started(cut, bindings).communicate()[0])
            for kind, other in (("resumed", cut), ("the same again", again)):
                title = f"{kind}, {name}, against an uninterrupted run"
                try:
                    same, arrays = equal_arrays(whole, other, self.size.resume_steps)
                except FileNotFoundError:
                    yield Row(title, "", "", None, last_line(said))
                    continue
                yield Row(
                    title, f"{same} arrays equal", f"{arrays} arrays", same / arrays
                )

    def _started(
        self, workdir: pathlib.Path, bindings: Sequence[str]
    ) -> subprocess.Popen[str]:
        steps = self.size.resume_steps
        options = self.recipe(
            f"train.steps = {steps}",
            f"train.checkpoint_every = {steps // 2}",
            *bindings,
        )
        return subprocess.Popen(
            [*SSLKIT, "train", *options, "--mode", "train", "--workdir", str(workdir)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=HERE.parent,
        )

    def _kill_half_way(self, workdir: pathlib.Path, bindings: Sequence[str]) -> bool:
        """Kills a run when it has a first checkpoint; returns whether it was killed."""
        step = self.size.resume_steps // 2
        wanted = workdir / "checkpoints" / f"step_{step:08d}.index"
        process = self._started(workdir, bindings)
        while process.poll() is None and not wanted.exists():
            time.sleep(0.001)
        alive = process.poll() is None
        process.send_signal(signal.SIGKILL)
        process.communicate()
        return alive

    # Accuracy.

    def accuracy(self) -> Iterator[Row]:
        """Trains and evaluates in both precisions."""
        steps = f"train.steps = {self.size.accuracy_steps}"
        found: dict[str, dict[str, float]] = {}
        running = {}
        for precision in ("bfloat16", "float32"):
            workdir = self.folder / f"accuracy_{precision}"
            options = self.recipe(steps, PRECISION.format(precision))
            running[precision] = subprocess.Popen(
                [*SSLKIT, "train", *options, "--workdir", str(workdir)],
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                cwd=HERE.parent,
            )
        said = {name: process.communicate()[0] for name, process in running.items()}
        for precision in running:
            path = self.folder / f"accuracy_{precision}" / "result.json"
            if not path.exists():
                yield Row("accuracy", precision, "", None, last_line([said[precision]]))
                return
            found[precision] = {
                row["protocol"]: row["top1"]
                for row in json.loads(path.read_text())["rows"]
                if row["representation"] == "trained encoder"
            }
        for (protocol, half), full in zip(
            found["bfloat16"].items(), found["float32"].values(), strict=True
        ):
            yield Row(
                f"{protocol}, bfloat16 against float32",
                f"{half:.4f}",
                f"{full:.4f}",
                half / full,
            )


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the check and prints the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parts = ("steps", "command", "resume", "accuracy")
    parser.add_argument("--size", choices=SIZES, default="full")
    parser.add_argument("--only", nargs="+", choices=parts, default=parts)
    parser.add_argument(
        "--data-dir",
        help="the folder of cifar10_subset; without it, the digits are used",
    )
    parser.add_argument("--limit", type=float, default=450.0, help="seconds")
    parser.add_argument("--out", help="a file for one line of JSON per row")
    args = parser.parse_args(argv)
    began = time.monotonic()
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        check = Check(
            SIZES[args.size], pathlib.Path(folder), args.data_dir, began + args.limit
        )
        for name in args.only:
            part: Callable[[], Iterator[Row]] = getattr(check, name)
            if check.left < 0:
                rows.append(Row(name, "", "", None, "not started: no time was left"))
                continue
            for row in part():
                rows.append(row)
                print(show([row]).splitlines()[1], file=sys.stderr, flush=True)
    print(show(rows))
    print(f"took {time.monotonic() - began:.0f} s")
    if args.out:
        with open(args.out, "w", encoding="utf-8") as file:
            file.writelines(json.dumps(row._asdict()) + "\n" for row in rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
