"""Time and peak memory of the FNC loss, whole and in blocks, by batch size.

    python benchmarks/objective.py                      # the table, B = 256 ... 2048
    python benchmarks/objective.py --batches 4096       # one 40,960 x 40,960 matrix
    python benchmarks/objective.py --block 256 --limit 0  # memory at a fixed block
    python benchmarks/objective.py --bank 65536 --replicas 32 --batches 4096

Each measurement runs in a separate process: loss, detection and gradient of random unit
vectors, three times after a first call that traces. Memory is the highest resident size
of the process, minus its size when the inputs were made. The full matrix is left out if
it would take more than `--limit` of memory: about six matrices of V b x columns
float32. With a limit of 0 it is never used.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time


def measure(
    *, batch: int, views: int, dim: int, bank: int, replicas: int, block: int | None
) -> dict[str, float]:
    """Returns seconds, the median of three, and megabytes."""
    import tensorflow as tf

    from sslkit.objectives import Scores, block_size, multi_view_nt_xent
    from sslkit_fnc.detection import TopKThreshold

    def unit(rows: int, seed: int) -> tf.Tensor:
        draw = tf.random.stateless_normal([rows, dim], [seed, 0])
        return tf.math.l2_normalize(draw, axis=1)

    images = batch // replicas
    anchors = tf.reshape(unit(views * images, 1), [views, images, dim])
    columns = bank or views * batch
    candidates = unit(columns, 2)
    block = block_size(rows=views * images, columns=columns, block=block)

    @tf.function
    def step(anchors: tf.Tensor, candidates: tf.Tensor) -> list[tf.Tensor]:
        with tf.GradientTape() as tape:
            tape.watch([anchors, candidates])
            scores = Scores(anchors, candidates, views=views, block=block)
            detected = TopKThreshold(topk=10, threshold=0.2).select(scores)
            loss = multi_view_nt_xent(
                anchors,
                candidates,
                temperature=0.1,
                attracted=detected,
                through_candidates=not bank,
                block=block,
            )
        sources = [anchors] if bank else [anchors, candidates]
        return [loss, *tape.gradient(loss, sources)]

    small = unit(64, 3)
    tf.linalg.matmul(small, small, transpose_b=True)
    step.get_concrete_function(anchors, candidates)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    seconds = []
    for _ in range(3 if batch < 4096 else 1):
        start = time.perf_counter()
        loss = float(step(anchors, candidates)[0])
        seconds.append(time.perf_counter() - start)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "block": block or 0,
        "loss": round(loss, 6),
        "seconds": round(sorted(seconds)[len(seconds) // 2], 3),
        "megabytes": round((peak - before) / 1024, 1),
    }


def main() -> None:
    """Prints a table, and one line of JSON per measurement."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--batches", type=int, nargs="+", default=[256, 512, 1024, 2048]
    )
    parser.add_argument("--views", type=int, default=10)
    parser.add_argument("--dim", type=int, default=128)
    parser.add_argument("--bank", type=int, default=0, help="rows; 0 for none")
    parser.add_argument("--replicas", type=int, default=1)
    parser.add_argument("--block", type=int, help="columns; by size if left out")
    parser.add_argument("--limit", type=float, default=10.0, help="gigabytes")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(**json.loads(options.one))))
        return
    table = []
    for batch in options.batches:
        columns = options.bank or options.views * batch
        matrix = options.views * batch // options.replicas * columns * 4 / 2**30
        for form, block in (("whole", 0), ("blocks", options.block)):
            if form == "whole" and 6 * matrix > options.limit:
                continue
            case = {
                "batch": batch,
                "views": options.views,
                "dim": options.dim,
                "bank": options.bank,
                "replicas": options.replicas,
                "block": block,
            }
            out = subprocess.run(
                [sys.executable, __file__, "--one", json.dumps(case)],
                check=True,
                stdout=subprocess.PIPE,
                text=True,
            ).stdout
            found = {**case, "form": form, **json.loads(out.splitlines()[-1])}
            print(json.dumps(found), flush=True)
            table.append(found)
    columns_shown = ("batch", "form", "block", "seconds", "megabytes", "loss")
    for row in [dict(zip(columns_shown, columns_shown, strict=True)), *table]:
        print("  ".join(f"{row[name]!s:>9}" for name in columns_shown))


if __name__ == "__main__":
    main()
