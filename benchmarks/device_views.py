"""How fast a device finishes views, compared with a lower bound.

    python benchmarks/device_views.py
    python benchmarks/device_views.py --sizes 224 --images 128 --step 5462

Finishes batches of random crops with the code that a training step compiles for this
device, or for another kind (`--kind`): FNC's views (jitter, two layers of RandAugment,
grayscale, blur) and SimCLR's. In turn with it, the lower bound ("floor") is measured:
the same bytes read and written once as floats, which every step does. Prints one line
of JSON for each.

`measure` and `Measured.share_of` are for other scripts.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import os
import re
import statistics
import time
from collections.abc import Callable
from typing import get_args

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import tensorflow as tf

from sslkit.api import Augmentation, DeviceKind, ViewGroup, Views
from sslkit.views import ContrastiveViews, RandAugment

_WIDTH = {"pred": 1, "u8": 1, "s8": 1, "bf16": 2, "f16": 2, "s64": 8, "u64": 8}
"""Bytes of XLA's element types; of all others 4."""
_FREE = {"parameter", "constant", "tuple", "get-tuple-element", "bitcast", "iota"}
"""Operations that move no bytes."""
_SHAPE = re.compile(r"\b(pred|bf16|[csuf]\d+)\[([\d,]*)\]")
_LINE = re.compile(r"^\s*(?:ROOT )?%?(\S+) = (.*?) ([a-z][a-z-]*)\((.*)$")


@dataclasses.dataclass(frozen=True)
class Measured:
    """The cost of finishing views on this device."""

    size: int
    """Side of the views, in pixels."""
    views: int
    """Views that are finished at once."""
    views_per_s: float
    """Finished by the augmentation, median of the rounds."""
    floor_per_s: float
    """Only read as bytes and written as floats, median of the rounds."""
    first_seconds: float
    """Until the first batch was ready: tracing and compiling."""
    kernels: int
    """Kernels per batch, from XLA's program; 0 if not measured."""
    passes: float
    """Bytes moved, from XLA's program, relative to the floor; 0 if not measured."""

    @property
    def times_floor(self) -> float:
        """The time as a multiple of the floor's."""
        return self.floor_per_s / self.views_per_s

    def share_of(self, step_per_s: float) -> float:
        """Returns the views' share of a training step.

        Args:
            step_per_s: views per second of a step on constant views.
        """
        return 1 / (1 + self.views_per_s / step_per_s)


def augmentation(size: int, count: int, *, randaugment: bool) -> ContrastiveViews:
    """Returns the published views: FNC's with RandAugment, SimCLR's without."""
    policy = RandAugment(translate=100 * size / 224, cutout=40 * size / 224)
    return ContrastiveViews(
        groups={"instance": ViewGroup(count, size)},
        area=(0.08, 1.0),
        flip=True,
        strength=1.0,
        randaugment=policy if randaugment else None,
        gray=0.2,
        blur=size > 32,
        kernel="legacy",
        placement="device",
    )


def measure(
    made: Augmentation, *, images: int, rounds: int = 7, program: bool = False
) -> Measured:
    """Measures how fast the default device finishes batches.

    Args:
        made: makes one group of views, for a kind of device (`Augmentation.on`).
        images: in a batch.
        rounds: how often each is timed, in turns; a round is at least 0.2 s.
        program: whether to compile once more and read XLA's program.
    """
    ((name, (count, size)),) = made.groups.items()
    shape = [count, images, size, size, 3]
    stack = tf.cast(
        tf.random.stateless_uniform(shape, [1, 2], 0, 256, tf.int32), tf.uint8
    )
    seeds = tf.stack([tf.range(images), tf.fill([images], 3)], axis=1)

    @tf.function(jit_compile=True)
    def finish(stack: tf.Tensor) -> tf.Tensor:
        return made.batch(
            Views.of({name: stack}), step_seed=tf.constant([1, 2]), example_seeds=seeds
        )[name]

    @tf.function(jit_compile=True)
    def floor(stack: tf.Tensor) -> tf.Tensor:
        return tf.image.convert_image_dtype(stack, tf.float32)

    start = time.perf_counter()
    _wait(finish(stack))
    first = time.perf_counter() - start
    _wait(floor(stack))
    works = [finish, floor]
    spent: list[list[float]] = [[], []]
    for _ in range(rounds):
        for times, work in zip(spent, works, strict=True):
            times.append(_seconds(lambda work=work: work(stack)))
    rows = count * images
    kernels, moved = 0, 0.0
    if program:
        text = finish.experimental_get_compiler_ir(stack)(stage="optimized_hlo")
        kernels, moved = traffic(text)
    return Measured(
        size=size,
        views=rows,
        views_per_s=rows / statistics.median(spent[0]),
        floor_per_s=rows / statistics.median(spent[1]),
        first_seconds=first,
        kernels=kernels,
        passes=moved / (5 * math.prod(shape)),  # one byte is read, four are written
    )


def traffic(text: str) -> tuple[int, float]:
    """Reads an optimised program of XLA.

    Args:
        text: the text of its modules, as written by XLA.

    Returns:
        The number of kernels, and the bytes that they read and write if each reads its
        arguments once.
    """
    entry = text[text.index("\nENTRY ") :]
    sizes: dict[str, float] = {}
    kernels, moved = 0, 0.0
    for line in entry.splitlines()[1:]:
        found = _LINE.match(line)
        if found is None:
            continue
        name, kind, operation, rest = found.groups()
        sizes[name] = sum(
            _WIDTH.get(element, 4) * math.prod(int(n) for n in sides.split(",") if n)
            for element, sides in _SHAPE.findall(kind)
        )
        if operation not in _FREE:
            arguments = {word for word in re.findall(r"[\w.-]+", rest) if word in sizes}
            kernels += 1
            moved += sizes[name] + sum(sizes[word] for word in arguments - {name})
    return kernels, moved


def _wait(images: tf.Tensor) -> None:
    # When a number is on the host, all earlier work of the device is done.
    images[0, 0, 0, 0, 0].numpy()


def _seconds(work: Callable[[], tf.Tensor]) -> float:
    """Returns the seconds per call, over as many calls as take 0.2 s."""
    calls, start = 0, time.perf_counter()
    while not calls or time.perf_counter() - start < 0.2:
        for _ in range(max(1, calls)):  # twice as many before each wait
            out = work()
            calls += 1
        _wait(out)
    return (time.perf_counter() - start) / calls


def main() -> None:
    """Measures with the options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[32, 224])
    parser.add_argument("--views", type=int, default=2, help="views per image")
    parser.add_argument(
        "--images", type=int, help="images per batch (default 256, or 16)"
    )
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument(
        "--kind",
        choices=get_args(DeviceKind),
        help="compile for this kind of device (default: the device here)",
    )
    parser.add_argument(
        "--step", type=float, help="views per second of a training step, for the share"
    )
    args = parser.parse_args()
    accelerators = tf.config.list_logical_devices("GPU")
    kind = args.kind or ("GPU" if accelerators else "CPU")
    for size in args.sizes:
        for randaugment in (True, False):
            made = augmentation(size, args.views, randaugment=randaugment).on(kind)
            found = measure(
                made,
                images=args.images or (256 if size <= 64 else 16),
                rounds=args.rounds,
                program=True,
            )
            row = {
                "views of": "fnc" if randaugment else "simclr",
                "compiled for": kind,
                **dataclasses.asdict(found),
                "times_floor": found.times_floor,
            }
            if args.step:
                row["share_of_step"] = found.share_of(args.step)
            rounded = {
                key: float(f"{value:.4g}") if isinstance(value, float) else value
                for key, value in row.items()
            }
            print(json.dumps(rounded), flush=True)


if __name__ == "__main__":
    main()
