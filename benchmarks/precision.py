"""Whether bfloat16 costs accuracy: one recipe in both precisions, over several seeds.

    python benchmarks/precision.py --gin gin/fnc_digits_pretrain.gin --workdir W
    python benchmarks/precision.py --gin gin/fnc_cifar10_pretrain.gin --workdir W \\
        --data-dir D --set "data.name = 'cifar10_subset'" --set "train.epochs = 10"

Prints a line when a run ends, and then a table: mean and standard deviation over the
seeds of each accuracy, and of the differences between two runs with the same seed. Runs
that are in the workdir already are not repeated.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Mapping, Sequence
from typing import Any

import sslkit
from sslkit.evaluate.results import TRAINED

PRECISIONS = ("float32", "bfloat16")
CHOSEN = ("evaluate.baselines = False", "train.knn_every = 0")
"""Parts that are left out, because they are the same for both or not in the table."""

Accuracies = dict[str, float]
"""Protocol -> top-1 of the trained encoder, in %."""


def main() -> None:
    """Does all runs, and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--gin", required=True, help="the recipe")
    parser.add_argument("--workdir", required=True, help="where the runs go")
    parser.add_argument("--data-dir", help="where datasets are prepared")
    parser.add_argument("--set", action="append", default=[], help="an override")
    parser.add_argument("--seeds", type=int, default=3, help="runs per precision")
    args = parser.parse_args()
    found: dict[str, list[Accuracies]] = {precision: [] for precision in PRECISIONS}
    for seed in range(args.seeds):
        for precision in PRECISIONS:
            began = time.perf_counter()
            run = sslkit.train(
                gin=args.gin,
                set=[
                    *CHOSEN,
                    *args.set,
                    f"train.seed = {seed}",
                    f"train.precision = {precision!r}",
                ],
                workdir=f"{args.workdir}/{precision}_{seed}",
                data_dir=args.data_dir,
            )
            assert run.result is not None, "a finished run has a result"
            found[precision].append(accuracies(run.result))
            spent = time.perf_counter() - began
            print(f"{precision}, seed {seed}: {found[precision][-1]}, {spent:.0f} s")
    for line in table(found):
        print(line)


def accuracies(result: Mapping[str, Any]) -> Accuracies:
    """Returns the accuracies of a run's trained encoder.

    Args:
        result: the contents of `result.json`.
    """
    return {
        row["protocol"].partition(" ")[0]: 100 * row["top1"]
        for row in result["rows"]
        if row["representation"] == TRAINED
    }


def table(found: Mapping[str, Sequence[Accuracies]]) -> list[str]:
    """Returns the lines of a table in Markdown.

    Args:
        found: precision -> the accuracies of each seed, in the same order.
    """
    protocols = list(found[PRECISIONS[0]][0])
    lines = [
        f"| precision | {' | '.join(protocols)} |",
        "|---" * (len(protocols) + 1) + "|",
    ]
    for precision, runs in found.items():
        cells = [_mean([run[name] for run in runs]) for name in protocols]
        lines.append(f"| {precision} | {' | '.join(cells)} |")
    wide, half = (found[precision] for precision in PRECISIONS)
    gains = [
        _mean([b[name] - a[name] for a, b in zip(wide, half, strict=True)])
        for name in protocols
    ]
    lines.append(f"| difference | {' | '.join(gains)} |")
    return lines


def _mean(values: Sequence[float]) -> str:
    spread = statistics.stdev(values) if len(values) > 1 else 0.0
    return f"{statistics.mean(values):.1f} ± {spread:.1f}"


if __name__ == "__main__":
    main()
