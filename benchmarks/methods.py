"""Every method by its own recipe, over seeds: accuracies, time per step, memory.

    python benchmarks/methods.py --workdir W
    python benchmarks/methods.py --workdir W --data cifar10_sample --data-dir D

Trains `gin/METHOD_DATA_pretrain.gin` with each seed, then, without `--untimed`, each
method once more for a few steps alone, whose time per step and peak memory are
measured; so leave the machine alone meanwhile. Prints a table in Markdown, the best by
linear accuracy first: mean and standard deviation over seeds. Runs that W holds already
are not repeated, and one that was interrupted goes on.
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys

from sample import FROM_THE_START, SAMPLE
from seeds import accuracies, spread

METHODS = {
    "fnc": "FNC",
    "simclr": "SimCLR",
    "dcl": "DCL",
    "moco_v2": "MoCo v2",
    "moco_v3": "MoCo v3",
    "nnclr": "NNCLR",
    "byol": "BYOL",
    "simsiam": "SimSiam",
    "barlow": "Barlow Twins",
    "vicreg": "VICReg",
    "swav": "SwAV",
    "dino": "DINO",
    "supcon": "SupCon, which reads labels",
}
"""Recipe's name -> method's name."""

DATA: dict[str, list[str]] = {
    "digits": [],
    "cifar10": [],
    "cifar10_sample": [
        *(*SAMPLE, "train.steps = 400"),
        *("evaluate.train_limit = 5000", "evaluate.test_limit = 2000"),
    ],
}
"""Overrides of the recipes for each choice of data."""
OWN = {("cifar10_sample", "fnc"): [FROM_THE_START]}
"""Likewise, of one method."""

PROTOCOLS = {"kNN (k=20,": "kNN", "linear": "linear", "few labels (10": "10 labels"}
"""How a protocol begins -> its column."""

EVALUATED = [
    "evaluate.protocols = [@evaluations.knn(), @evaluations.linear(), "
    "@evaluations.few_labels()]",
    "evaluations.few_labels.labels = [10]",
    "train.knn_every = 0",
]
TIMED = [
    *("train.knn_every = 0", "train.health_every = 0", "train.checkpoint_every = 1000"),
    "evaluate.baselines = False",
]
_STEPS = 120


def main() -> None:
    """Trains what is missing and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--workdir", type=pathlib.Path, required=True)
    parser.add_argument("--data", default="digits", choices=tuple(DATA))
    parser.add_argument("--data-dir", help="where datasets are prepared")
    parser.add_argument("--set", action="append", default=[], help="an override")
    parser.add_argument("--seeds", type=int, default=5, help="runs of each method")
    parser.add_argument("--untimed", action="store_true", help="accuracies alone")
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=METHODS)
    flags = parser.parse_args()
    given = [f"--data-dir={flags.data_dir}"] if flags.data_dir else []

    def run(method: str, name: str, settings: list[str]) -> pathlib.Path:
        folder: pathlib.Path = flags.workdir / f"{method}_{name}"
        train(
            f"gin/{method}_{flags.data.removesuffix('_sample')}_pretrain.gin",
            folder,
            [
                *DATA[flags.data],
                *OWN.get((flags.data, method), ()),
                *flags.set,
                *settings,
            ],
            given,
        )
        return folder

    runs: dict[str, list[pathlib.Path]] = {method: [] for method in flags.methods}
    for seed in range(flags.seeds):
        for method in flags.methods:
            # The baselines do not depend on the method.
            baselines = method == flags.methods[0]
            own = [
                *EVALUATED,
                f"train.seed = {seed}",
                f"evaluate.baselines = {baselines}",
            ]
            runs[method].append(run(method, str(seed), own))
    timed = {
        method: run(method, "timed", [*TIMED, f"train.steps = {_STEPS}"])
        for method in flags.methods
        if not flags.untimed
    }
    for line in table(runs, timed):
        print(line)


def train(
    recipe: str, folder: pathlib.Path, settings: list[str], given: list[str]
) -> None:
    """Runs `sslkit train` in a process, unless its result is there.

    Beside the run's folder, FOLDER.usage.json has the peak memory of the process.
    """
    if (folder / "result.json").exists():
        return
    command = [
        *(sys.executable, "-m", "sslkit", "train", *given),
        *("--gin", recipe, "--workdir", str(folder)),
    ]
    for setting in settings:
        command += ["--set", setting]
    folder.parent.mkdir(parents=True, exist_ok=True)
    with open(f"{folder}.log", "w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
        _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"{folder} failed, see {folder}.log")
    spent = usage.ru_utime + usage.ru_stime
    print(f"{folder}: {spent:.0f} s of processor time", flush=True)
    note = {"memory_bytes": usage.ru_maxrss * 1024, "processor_seconds": spent}
    pathlib.Path(f"{folder}.usage.json").write_text(json.dumps(note))


def pace(folder: pathlib.Path) -> tuple[float, float]:
    """Returns milliseconds per step, once the first steps are over, and peak GB."""
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    records = [json.loads(line) for line in lines]
    settled = [record for record in records if record["step"] > _STEPS // 3]
    first, last = settled[0], settled[-1]
    spent = (last["time"] - first["time"]) / (last["step"] - first["step"])
    usage = json.loads(pathlib.Path(f"{folder}.usage.json").read_text())
    return 1000 * spent, usage["memory_bytes"] / 1e9


def table(
    runs: dict[str, list[pathlib.Path]], timed: dict[str, pathlib.Path]
) -> list[str]:
    """Returns the lines of the table, in Markdown."""
    columns = list(PROTOCOLS.values())
    found = {
        method: [accuracies(folder, "trained encoder", PROTOCOLS) for folder in folders]
        for method, folders in runs.items()
    }

    def linear(method: str) -> float:
        return statistics.mean(each["linear"] for each in found[method])

    heads = ["method", *columns, *(["ms per step", "memory, GB"] if timed else [])]
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for method in sorted(found, key=linear, reverse=True):
        cells = [spread([each[name] for each in found[method]]) for name in columns]
        if timed:
            step, memory = pace(timed[method])
            cells += [f"{step:.0f}", f"{memory:.2f}"]
        lines.append(f"| {METHODS[method]} | {' | '.join(cells)} |")
    for who in ("untrained encoder", "raw pixels"):
        those = [
            accuracies(folder, who, PROTOCOLS) for folder in next(iter(runs.values()))
        ]
        cells = [spread([each[name] for each in those]) for name in columns]
        lines.append(f"| {who} | {' | '.join(cells)} |{' | |' if timed else ''}")
    return lines


if __name__ == "__main__":
    main()
