"""How long a run stops for a checkpoint, and how long writing it takes.

    python benchmarks/checkpoint_stall.py --folder DIR

A table of the size of ResNet-50 pretraining with a bank: encoder, momentum twin, one
slot and 65,536 rows of 128. It is saved in the background, as `train` does, and with
the run waiting. Prints one line of JSON for each, in seconds, with the median and the
worst of several rounds.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np

from sslkit.checkpoints import Checkpoints

_TENSORS = {
    "encoder": 25_600_000,
    "twin": 25_600_000,
    "optimizer": 25_600_000,
    "bank": 65_536 * 128,
}
_PARTS = 160


def main() -> None:
    """Measures what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--folder", required=True, help="a folder on the disk that is measured"
    )
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    random = np.random.default_rng(0)
    table = {
        f"{name}/{part}": keras.Variable(
            random.random(size // _PARTS, dtype=np.float32), name=f"{name}_{part}"
        )
        for name, size in _TENSORS.items()
        for part in range(_PARTS)
    }
    bytes_ = sum(4 * variable.shape[0] for variable in table.values())
    store = Checkpoints(os.path.join(args.folder, "checkpoints"), keep=1)
    for background in (False, True):
        stalls, whole = [], []
        for round_ in range(args.rounds):
            start = time.perf_counter()
            store.save_in_background(table, step=round_)
            if not background:
                store.finish()
            stalls.append(time.perf_counter() - start)
            store.finish()
            whole.append(time.perf_counter() - start)
        print(
            json.dumps(
                {
                    "saved": "in the background"
                    if background
                    else "with the run waiting",
                    "megabytes": round(bytes_ / 1e6),
                    "stall_median": round(statistics.median(stalls), 3),
                    "stall_worst": round(max(stalls), 3),
                    "written_median": round(statistics.median(whole), 3),
                }
            )
        )


if __name__ == "__main__":
    main()
