"""What cancelling false negatives brings on a sample of CIFAR-10, over seeds.

    python benchmarks/false_negatives.py --data-dir D --workdir W

Trains one small network with each method and seed, by the shipped recipes and nothing
but overrides, and prints two tables: accuracy, and how good the detection was. All
methods see views by the same view maker, the same number of steps and, for a seed, the
same images in the same order. Candidates are the views of the batch: the methods differ
in what they do with false negatives alone. Runs that W holds already are not repeated,
and one that was interrupted goes on.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import statistics
import subprocess
import sys

COMMON = [
    "data.name = 'cifar10_subset'",
    "backbone = @backbones.convnet",
    "backbones.convnet.filters = (16, 32, 64)",
    "train.optimizer = @optimizers.adam()",
    "schedules.cosine.base = 0.002",
    "schedules.cosine.scaling = 'none'",
    "schedules.cosine.warmup_epochs = 0.2",
    "train.batch_size = 128",
    "train.knn_every = 0",
    "evaluate.train_limit = 10000",
    "evaluate.test_limit = 5000",
]
FNC = ["objectives.fnc.bank = 0", "objectives.fnc.measure_detection = True"]
METHODS = {
    "SimCLR, 2 views": (
        "fnc",
        ["support = 0", *FNC, "objectives.fnc.false_negatives = 'ignore'"],
    ),
    "SimCLR, 4 views": ("fnc", [*FNC, "objectives.fnc.false_negatives = 'ignore'"]),
    "FNC, eliminated": ("fnc", [*FNC, "objectives.fnc.false_negatives = 'eliminate'"]),
    "FNC, attracted": ("fnc", [*FNC, "objectives.fnc.false_negatives = 'attract'"]),
    "oracle, eliminated": (
        "fnc",
        [
            *FNC,
            "objectives.fnc.false_negatives = 'eliminate'",
            "objectives.fnc.detection = 'oracle'",
        ],
    ),
    "oracle, attracted": (
        "fnc",
        [
            *FNC,
            "objectives.fnc.false_negatives = 'attract'",
            "objectives.fnc.detection = 'oracle'",
        ],
    ),
}


def workdir(root: pathlib.Path, method: str, seed: int) -> pathlib.Path:
    """Returns where a run is kept."""
    return root / f"{method.replace(', ', '_').replace(' ', '_')}_{seed}"


def train(method: str, *, seed: int, steps: int, data: str, to: pathlib.Path) -> None:
    """Runs `sslkit train` unless its result is there."""
    if (to / "result.json").exists():
        return
    recipe, changes = METHODS[method]
    settings = [*COMMON, *changes, f"train.steps = {steps}", f"train.seed = {seed}"]
    command = [
        *(sys.executable, "-m", "sslkit", "train"),
        *("--gin", f"gin/{recipe}_cifar10_pretrain.gin"),
        *("--workdir", str(to), "--data-dir", data),
    ]
    for setting in settings:
        command += ["--set", setting]
    subprocess.run(command, check=True)


def accuracy(folder: pathlib.Path, protocol: str, who: str) -> float:
    """Returns a run's top-1 in %."""
    rows = json.loads((folder / "result.json").read_text())["rows"]
    return next(
        100 * row["top1"]
        for row in rows
        if row["protocol"].startswith(protocol) and row["representation"] == who
    )


def detection(folder: pathlib.Path, stretch: tuple[float, float]) -> dict[str, float]:
    """Returns what was detected over a stretch of training, told in shares of it."""
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    records = [json.loads(line) for line in lines]
    records = [record for record in records if "false_negatives_right" in record]
    last = records[-1]["step"]
    first, end = (share * last for share in stretch)
    chosen = [record for record in records if first < record["step"] <= end]
    found, right, present = (
        sum(record[f"false_negatives_{name}"] for record in chosen)
        for name in ("judged", "right", "present")
    )
    return {
        "detected": found / len(chosen),
        "precision": 100 * right / found,
        "recall": 100 * right / present,
    }


def spread(values: list[float]) -> str:
    """Returns the mean and the sample standard deviation."""
    if len(values) == 1:
        return f"{values[0]:.1f}"
    return f"{statistics.mean(values):.1f} ± {statistics.stdev(values):.1f}"


def main() -> None:
    """Trains what is missing and prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", required=True, help="prepared TFDS data")
    parser.add_argument("--workdir", type=pathlib.Path, required=True)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=METHODS)
    flags = parser.parse_args()
    runs = {
        method: [workdir(flags.workdir, method, seed) for seed in flags.seeds]
        for method in flags.methods
    }
    for place, seed in enumerate(flags.seeds):
        for method, folders in runs.items():
            train(
                method,
                seed=seed,
                steps=flags.steps,
                data=flags.data_dir,
                to=folders[place],
            )

    print("| method | kNN | linear |\n|---|---|---|")
    everyone = [folder for folders in runs.values() for folder in folders]
    rows = [*runs.items(), ("untrained encoder", everyone), ("raw pixels", everyone)]
    for name, folders in rows:
        who = name if name not in METHODS else "trained encoder"
        cells = [
            spread([accuracy(folder, protocol, who) for folder in folders])
            for protocol in ("kNN", "linear")
        ]
        print(f"| {name} | {cells[0]} | {cells[1]} |")

    stretches = {"first tenth": (0, 0.1), "middle": (0.45, 0.55), "last": (0.9, 1)}
    print("\n| method | training | detected an image | precision | recall |")
    print("|---|---|---|---|---|")
    for name, folders in runs.items():
        for when, stretch in stretches.items():
            found = [detection(folder, stretch) for folder in folders]
            cells = [
                spread([each[column] for each in found])
                for column in ("detected", "precision", "recall")
            ]
            print(f"| {name} | {when} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
