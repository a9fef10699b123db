"""The cost of watching a run: the guard of each step, spikes, and its health.

    python benchmarks/guard.py --gin gin/fnc_digits_pretrain.gin

Calls the recipe's step on a constant batch, alternately with and without the guard, and
prints quartiles of the pairs' ratios: of wall time, and of processor time, which is
more reliable if other processes run. Then it measures the time of a health measurement,
after the first, as a share of the steps between two of them; and the time of the
running median. Prints one line of JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
import types

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import tensorflow as tf

from sslkit import config
from sslkit.training.actions import Moment
from sslkit.training.health import Health
from sslkit.training.spikes import Spikes


def main() -> None:
    """Measures with the options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gin", required=True)
    parser.add_argument("--set", action="append", default=[])
    parser.add_argument("--pairs", type=int, default=15)
    parser.add_argument(
        "--seconds", type=float, default=2.0, help="approximate duration of one call"
    )
    args = parser.parse_args()
    training = config.load([args.gin], args.set).train()
    training.arithmetic.take()
    training.check()
    whole = tf.distribute.InputContext()
    batch = next(iter(training.batches(0, whole)))
    batches = training.runner.iterate(
        lambda context: tf.data.Dataset.from_tensors(batch).repeat()
    )
    timed = []
    for guarded in (False, True):
        step = training.train_step()
        if not guarded:
            step.guard = None
        advance = training.runner.compile(step, step.metrics)
        timed.append(lambda inner, advance=advance: _seconds(advance, batches, inner))
    for call in timed:
        call(2)
    each = statistics.median(timed[0](2)[0] for _ in range(3)) / 2
    inner = max(2, int(args.seconds / each))
    pairs = [(timed[0](inner), timed[1](inner)) for _ in range(args.pairs)]
    seconds = statistics.median(plain[0] for plain, _ in pairs) / inner
    look = _look(training)
    print(
        json.dumps(
            {
                "device": training.runner.device,
                "step_ms": round(1e3 * seconds, 2),
                "steps_in_a_call": inner,
                "guard": _more(pairs, 0),
                "guard_of_processors": _more(pairs, 1),
                "look_ms": round(1e3 * look, 1),
                "looks": round(look / (training.health_every * seconds), 5),
                "spikes": round(_spikes() / seconds, 6),
            }
        )
    )


def _seconds(advance, batches, inner: int) -> tuple[float, float]:
    """Returns the wall time and processor time of a call, in seconds."""
    began = time.perf_counter(), time.process_time()
    advance(batches, tf.constant(inner)).numpy()
    return time.perf_counter() - began[0], time.process_time() - began[1]


def _more(pairs, clock: int) -> list[float]:
    """Returns quartiles of the guard's share of the time: lower, median, upper."""
    ratios = [guarded[clock] / plain[clock] for plain, guarded in pairs]
    return [round(ratio - 1, 4) for ratio in statistics.quantiles(ratios, n=4)]


def _look(training) -> float:
    """Returns the seconds of a measurement, after the first, which traces."""
    health = Health(
        training.objective,
        training.source,
        training.augmentation,
        every=1,
        share=training.batch_size,
        seed=training.seed,
        machine=types.SimpleNamespace(waited_share=None),
        say=print,
    )
    took = []
    for step in range(1, 7):
        began = time.perf_counter()
        health.run(Moment(step))
        took.append(time.perf_counter() - began)
    return statistics.median(took[1:])


def _spikes(steps: int = 2000) -> float:
    """Returns the seconds that the running median takes per step."""
    spikes = Spikes(every=steps, say=print)
    began = time.perf_counter()
    for step in range(steps):
        spikes.see(step, {"loss": 1.0 + step % 7})
    return (time.perf_counter() - began) / steps


if __name__ == "__main__":
    main()
