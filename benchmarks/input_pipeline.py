"""How much processor time the views of an image cost, on the host and the device.

    python benchmarks/input_pipeline.py --data-dir DIR

Compares, in one run, the published views written in a straightforward way in tf.data
with this project's on the host and on the device (here the CPU, too), and with two
lower bounds for every pipeline of the same crops. Prints one line of JSON for each. All
times are processor time, so they are per core. They are the best of several rounds,
which are done in turn, so that other load affects all of them equally.

Needs the TFDS datasets `cifar10_subset` or `cifar10` (32 px) and `imagenet2012` (224
px) in DIR.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import straightforward_views
import tensorflow as tf

from sslkit.api import ViewGroup, Views
from sslkit.data import Source, data
from sslkit.data.memory import InMemory
from sslkit.views import ContrastiveViews, RandAugment

Work = Callable[[], object]

OURS = ("host", "device")
"""Names of the rows of this project's pipelines, by placement."""
CACHED = "device, cache in memory"
"""The same with `data.cache = 'memory'`, as in the recipes for small images."""


def main() -> None:
    """Measures with the options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", required=True)
    parser.add_argument("--small", default="cifar10_subset", help="the 32 px dataset")
    parser.add_argument("--large", default="imagenet2012", help="the 224 px dataset")
    parser.add_argument("--sizes", type=int, nargs="+", default=[32, 224])
    parser.add_argument("--views", type=int, nargs="+", default=[2, 10])
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    # One thread: the speed of a core, without interaction between threads.
    tf.config.threading.set_intra_op_parallelism_threads(1)
    for size in args.sizes:
        name = args.small if size == 32 else args.large
        source = data(name=name, data_dir=args.data_dir).source("train")
        images = 256 if size == 32 else 16
        for count in args.views:
            rows = measure(source, size, count, images=images, rounds=args.rounds)
            reference = rows[0]
            for row in rows:
                for part in ("host", "total"):
                    row[f"{part}_speedup"] = (
                        reference[f"{part}_ms_per_image"] / row[f"{part}_ms_per_image"]
                    )
                print(json.dumps({k: rounded(v) for k, v in row.items()}), flush=True)


def measure(
    source: Source, size: int, count: int, *, images: int, rounds: int
) -> list[dict]:
    """Measures all pipelines at one size and number of views."""
    blurred = size > 32
    ours = {
        placement: ContrastiveViews(
            groups={"instance": ViewGroup(count, size)},
            area=(0.08, 1.0),
            flip=True,
            strength=1.0,
            randaugment=RandAugment(),
            gray=0.2,
            blur=blurred,
            kernel="legacy",
            placement=placement,
        )
        for placement in OURS
    }
    seeds = tf.stack([tf.range(images), tf.fill([images], 3)], axis=1)

    def finish(augmentation: ContrastiveViews) -> Callable[[tf.Tensor], tf.Tensor]:
        @tf.function
        def run(stack: tf.Tensor) -> tf.Tensor:
            # In training, the host transposes.
            return augmentation.batch(
                Views.of({"instance": tf.transpose(stack, [1, 0, 2, 3, 4])}),
                step_seed=tf.constant([1, 2]),
                example_seeds=seeds,
            )["instance"]

        return run

    @tf.function
    def blur(stack: tf.Tensor) -> tf.Tensor:
        return straightforward_views.blur(stack, tf.constant([1, 2]))

    def resized(image: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        return tf.map_fn(
            lambda number: straightforward_views.crop(
                image, tf.stack([number, seed[0]]), size
            ),
            tf.range(count),
            fn_output_signature=tf.TensorSpec([size, size, 3], tf.float32),
        )

    pipelines: dict[str, tuple[Callable, Callable | None]] = {
        "straightforward": (
            lambda image, seed: straightforward_views.views(
                image, seed, count=count, size=size
            ),
            blur if blurred else None,
        ),
        "host": (
            lambda image, seed: ours["host"].example(image, seed)["instance"],
            finish(ours["host"]),
        ),
        "device": (
            lambda image, seed: ours["device"].example(image, seed)["instance"],
            finish(ours["device"]),
        ),
        CACHED: (
            lambda image, seed: ours["device"].example(image, seed)["instance"],
            finish(ours["device"]),
        ),
        "floor: decode": (lambda image, seed: image[0, 0, 0], None),
        "floor: decode, crop and resize": (resized, None),
    }
    works: dict[str, tuple[Work, Work | None]] = {}
    cached = InMemory(source)
    for name, (make, after) in pipelines.items():
        # Ours handle images that cannot be read, which costs some time.
        read = source.search if name in ours else source.example
        read = cached.search if name == CACHED else read
        dataset = host_part(read, make, images)
        batches = iter(dataset)
        stack = next(batches)
        works[name] = (
            lambda batches=batches: next(batches),
            None if after is None else lambda after=after, stack=stack: after(stack),
        )
        if after is not None:
            after(stack)
    best = {name: [float("inf"), float("inf")] for name in works}
    for _ in range(rounds):
        for name, parts in works.items():
            for place, work in enumerate(parts):
                spent = 0.0 if work is None else processor_time(work)
                best[name][place] = min(best[name][place], spent)
    return [
        {
            "size": size,
            "views": count,
            "pipeline": name,
            "host_ms_per_image": host / images * 1e3,
            "device_ms_per_image": device / images * 1e3,
            "total_ms_per_image": (host + device) / images * 1e3,
            "host_views_per_s_per_core": images * count / host,
            "views_per_s_per_core": images * count / (host + device),
        }
        for name, (host, device) in best.items()
    ]


def host_part(read: Callable, make: Callable, images: int) -> tf.data.Dataset:
    """Returns the first images of a source as one batch, again and again."""

    def example(index: tf.Tensor) -> tf.Tensor:
        image, *_ = read(index)
        return make(image, tf.stack([tf.cast(index, tf.int32), 3]))

    options = tf.data.Options()
    options.threading.private_threadpool_size = 1
    # No prefetching, because then one pipeline's work would be counted as another's.
    options.autotune.enabled = False
    options.experimental_optimization.apply_default_optimizations = False
    dataset = tf.data.Dataset.range(images).repeat().map(example)
    dataset = dataset.batch(images)
    return dataset.with_options(options)


def processor_time(work: Work) -> float:
    """Returns the processor seconds of all threads of this process."""
    start = time.process_time()
    work()
    return time.process_time() - start


def rounded(value: object) -> object:
    """Returns numbers with four digits."""
    return float(f"{value:.4g}") if isinstance(value, float) else value


if __name__ == "__main__":
    main()
