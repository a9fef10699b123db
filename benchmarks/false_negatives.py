"""How much cancelling false negatives helps, over seeds: digits, a CIFAR-10 sample.

    python benchmarks/false_negatives.py --workdir W
    python benchmarks/false_negatives.py --workdir W --data cifar10 --data-dir D

Trains one small network with each method and seed, by the shipped recipes with only
overrides, and prints three tables: accuracies, differences from SimCLR with as many
views, and the quality of the detection. All methods have the same augmentation, the
same number of steps and, for a seed, the same images in the same order. Candidates are
the views of the batch, except in one row: the methods differ only in what they do with
false negatives. Runs that are in W already are not repeated, and an interrupted run is
resumed.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import subprocess
import sys
from collections.abc import Mapping, Sequence

from sample import FROM_THE_START, SAMPLE
from seeds import accuracies, spread

from sslkit.comparison.statistics import difference

IGNORE, ELIMINATE, ATTRACT = (
    f"objectives.fnc.false_negatives = {what!r}"
    for what in ("ignore", "eliminate", "attract")
)
ORACLE = "objectives.fnc.detection = 'oracle'"
BATCH = "objectives.fnc.bank = 0"
TEN, TWENTY = (f"objectives.fnc.topk = {most}" for most in (10, 20))
EVEN = "SimCLR, 4 views"
"""What the others are compared with: it sees the same views."""
METHODS: dict[str, list[str]] = {
    "SimCLR, 2 views": ["support = 0", BATCH, IGNORE, TEN],
    EVEN: [BATCH, IGNORE, TEN],
    "FNC, eliminated": [BATCH, ELIMINATE, TEN],
    "FNC, attracted": [BATCH, ATTRACT, TEN],
    "FNC, bank and twin, attracted": [ATTRACT, TEN],
    "FNC, bank and twin, 20 attracted": [ATTRACT, TWENTY],
    "oracle, eliminated": [BATCH, ELIMINATE, ORACLE],
    "oracle, attracted": [BATCH, ATTRACT, ORACLE],
}
LATE: dict[str, dict[str, list[str]]] = {
    "digits": {},
    "cifar10": {
        f"FNC late, {what}": [
            *(BATCH, how, TEN),
            "objectives.fnc.detection_start = 4",
            "objectives.fnc.threshold = 0.9",
            "objectives.fnc.final_threshold = 0.8",
        ]
        for what, how in (("eliminated", ELIMINATE), ("attracted", ATTRACT))
    },
}
"""Detection that starts after some epochs, with the highest similarities first."""

COMMON = {
    "digits": ["train.knn_every = 0"],
    "cifar10": [
        *(*SAMPLE, FROM_THE_START, "backbones.convnet.filters = (16, 32, 64)"),
        "train.knn_every = 0",
        "evaluate.train_limit = 10000",
        "evaluate.test_limit = 5000",
    ],
}
EVALUATED = [
    "evaluate.protocols = [@evaluations.knn(), @evaluations.linear(), "
    "@evaluations.few_labels()]",
    "objectives.fnc.measure_detection = True",
]
PROTOCOLS = {
    "kNN (k=20,": "kNN",
    "linear": "linear",
    "few labels (1 ": "1 label",
    "few labels (3 ": "3 labels",
    "few labels (10 ": "10 labels",
}
"""How a protocol begins -> its column."""
BASELINES = ("untrained encoder", "raw pixels")
TRAINED = "trained encoder"


def workdir(root: pathlib.Path, method: str, seed: int) -> pathlib.Path:
    """Returns where a run is kept."""
    return root / f"{method.replace(', ', '_').replace(' ', '_')}_{seed}"


def train(data: str, settings: Sequence[str], given: Sequence[str], to: str) -> None:
    """Runs `sslkit train`; its output goes into a log beside the run's folder."""
    command = [
        *(sys.executable, "-m", "sslkit", "train", *given),
        *("--gin", f"gin/fnc_{data}_pretrain.gin", "--workdir", to),
    ]
    for setting in settings:
        command += ["--set", setting]
    pathlib.Path(to).parent.mkdir(parents=True, exist_ok=True)
    with open(f"{to}.log", "w") as log:
        done = subprocess.run(command, stdout=log, stderr=log)
    if done.returncode:
        sys.exit(f"{to} failed, see {to}.log")
    print(f"{to} is done", flush=True)


def detection(folder: pathlib.Path, stretch: tuple[float, float]) -> dict[str, float]:
    """Returns what was detected in a part of training, given in shares of its steps."""
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
    if not chosen:
        sys.exit(f"{folder} is too short a run to say how detection went")
    return {
        "detected": found / len(chosen),
        "precision": 100 * right / found if found else float("nan"),
        "recall": 100 * right / present,
    }


def accuracy_table(runs: Mapping[str, Sequence[pathlib.Path]]) -> list[str]:
    """Returns a row for each method and baseline."""
    columns = list(PROTOCOLS.values())
    lines = [f"| method | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
    rows = [(method, folders, TRAINED) for method, folders in runs.items()]
    rows += [(who, runs[EVEN], who) for who in BASELINES if EVEN in runs]
    for name, folders, who in rows:
        found = [accuracies(folder, who, PROTOCOLS) for folder in folders]
        cells = [spread([each[column] for each in found]) for column in columns]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def difference_table(runs: Mapping[str, Sequence[pathlib.Path]]) -> list[str]:
    """Returns a row for each method: less `EVEN`, in pairs of one seed."""
    columns = list(PROTOCOLS.values())
    lines = [f"| less {EVEN} | {' | '.join(columns)} |"]
    lines.append("|---" * (len(columns) + 1) + "|")
    by_seed = {
        method: [accuracies(folder, TRAINED, PROTOCOLS) for folder in folders]
        for method, folders in runs.items()
    }
    for method in by_seed:
        if method == EVEN:
            continue
        cells = []
        for column in columns:
            here, there = (
                {str(seed): each[column] for seed, each in enumerate(by_seed[name])}
                for name in (method, EVEN)
            )
            gap = difference(here, there)
            assert gap is not None, "every method has every seed"
            interval = "" if gap.interval is None else " [{:+.1f}, {:+.1f}]"
            cells.append(f"{gap.mean:+.1f}{interval.format(*gap.interval or ())}")
        lines.append(f"| {method} | {' | '.join(cells)} |")
    return lines


def detection_table(runs: Mapping[str, Sequence[pathlib.Path]]) -> list[str]:
    """Returns three rows for each method, in the course of training."""
    stretches = {"first tenth": (0, 0.1), "middle": (0.45, 0.55), "last": (0.9, 1)}
    lines = ["| method | training | detected per image | precision | recall |"]
    lines.append("|---|---|---|---|---|")
    for name, folders in runs.items():
        for when, stretch in stretches.items():
            found = [detection(folder, stretch) for folder in folders]
            cells = [
                spread([each[column] for each in found])
                for column in ("detected", "precision", "recall")
            ]
            lines.append(f"| {name} | {when} | {' | '.join(cells)} |")
    return lines


def main() -> None:
    """Trains what is missing and prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--workdir", type=pathlib.Path, required=True)
    parser.add_argument("--data", default="digits", choices=tuple(COMMON))
    parser.add_argument("--data-dir", help="prepared TFDS data, for cifar10")
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--set", action="append", default=[], help="an override")
    parser.add_argument("--methods", nargs="+", help="some of them")
    flags = parser.parse_args()
    methods = {**METHODS, **LATE[flags.data]}
    chosen = flags.methods or list(methods)
    if not methods.keys() >= set(chosen):
        parser.error(f"methods are {list(methods)}")
    given = [f"--data-dir={flags.data_dir}"] if flags.data_dir else []
    runs = {
        method: [workdir(flags.workdir, method, seed) for seed in range(flags.seeds)]
        for method in chosen
    }
    for seed in range(flags.seeds):
        for method, folders in runs.items():
            if (folders[seed] / "result.json").exists():
                continue
            settings = [
                *(*COMMON[flags.data], *EVALUATED, *methods[method], *flags.set),
                f"train.seed = {seed}",
                # They depend on the seed alone.
                f"evaluate.baselines = {method == EVEN}",
            ]
            train(flags.data, settings, given, str(folders[seed]))
    tables = [accuracy_table(runs), detection_table(runs)]
    if EVEN in runs:
        tables.insert(1, difference_table(runs))
    print("\n\n".join("\n".join(lines) for lines in tables))


if __name__ == "__main__":
    main()
