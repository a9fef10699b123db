"""The speed of a training step, and the share of time of each operation.

Times the real training step on a constant batch against a plain one of the same
network: stock Keras layers, a Keras optimizer, the same loss, in one tf.function. They
are timed in turn, so that other load slows them equally. Prints one line of JSON for
each.

    python benchmarks/step.py                     # ResNet-18, 32 px, 64 images, 2 views
    python benchmarks/step.py --network resnet50  # ResNet-50, 224 px, 8 images, 2 views
    python benchmarks/step.py --profile           # where the time goes, by operation
"""

from __future__ import annotations

import argparse
import collections
import functools
import glob
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf

from sslkit.api import Augmentation, ViewGroup
from sslkit.data.batches import TrainingBatch
from sslkit.export.keras_model import stock_layers
from sslkit.nn import ResNet
from sslkit.objectives import multi_view_nt_xent
from sslkit.optimize.momentum import Momentum
from sslkit.optimize.schedules import Constant
from sslkit.training.state import TrainState
from sslkit.training.step import TrainStep
from sslkit_simclr.objective import SimCLR

VIEWS = 2
CASES = {"resnet18": (18, 32, 64), "resnet50": (50, 224, 8)}
POLICY = {"float32": "float32", "bfloat16": "mixed_bfloat16"}
RATE = 1e-3

Step = Callable[[], tf.Tensor]


class Constants(Augmentation):
    """Views that need no work."""

    def __init__(self, size: int):
        """Keeps the size."""
        self._size = size

    @property
    def groups(self) -> dict[str, ViewGroup]:
        """Two views of each image."""
        return {"instance": ViewGroup(VIEWS, self._size)}

    def example(self, image: tf.Tensor, seed: tf.Tensor) -> dict[str, tf.Tensor]:
        """Is not called: the batch is constant."""
        raise AssertionError("never called: the batch is constant")

    def batch(self, views, *, step_seed, example_seeds):
        """Returns the views, which are float already."""
        return views


def ours(images: tf.Tensor, depth: int, precision: str) -> Step:
    """The training step of this package."""
    augmentation = Constants(images.shape[2])
    keras.config.set_dtype_policy(POLICY[precision])
    state = TrainState(
        functools.partial(SimCLR, functools.partial(ResNet, depth=depth)),
        Momentum(),
        strategy=tf.distribute.get_strategy(),
        groups=augmentation.groups,
        batch_size=images.shape[0],
        seed=0,
    )
    step = TrainStep(
        state,
        augmentation,
        Momentum(),
        Constant(base=RATE),
        steps=10**6,
        batch_size=images.shape[0],
        examples=10**6,
        seed=0,
    )
    rows = images.shape[0]
    batch = TrainingBatch(
        views={"instance": images},
        label=tf.zeros([rows], tf.int32),
        example_seeds=tf.zeros([rows, 2], tf.int32),
        index=tf.range(rows),
    )
    advance = tf.function(step)
    return lambda: advance(batch)["loss"]


def plain(images: tf.Tensor, depth: int, precision: str) -> Step:
    """The same network, head and loss of stock Keras layers and a Keras optimizer."""
    size = images.shape[2]
    keras.config.set_dtype_policy("float32")
    encoder = ResNet(depth=depth, name="encoder")
    encoder.build((None, size, size, 3))
    keras.config.set_dtype_policy(POLICY[precision])
    stock = stock_layers(encoder, size=size)
    x = stock.outputs[0]
    for last in (False, False, True):
        units = 128 if last else encoder.feature_dim
        x = keras.layers.Dense(units, use_bias=False)(x)
        x = keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5)(x)
        x = x if last else keras.layers.ReLU()(x)
    model = keras.Model(stock.inputs, x)
    optimizer = keras.optimizers.SGD(RATE, momentum=0.9, nesterov=True)
    optimizer.build(model.trainable_variables)
    flat = tf.reshape(tf.transpose(images, [1, 0, 2, 3, 4]), [-1, size, size, 3])

    @tf.function
    def step() -> tf.Tensor:
        with tf.GradientTape() as tape:
            projected = tf.cast(model(flat, training=True), tf.float32)
            unit = tf.math.l2_normalize(projected, 1)
            anchors = tf.reshape(unit, [VIEWS, -1, unit.shape[1]])
            loss = multi_view_nt_xent(anchors, unit, temperature=0.1)
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply(gradients, model.trainable_variables)
        return loss

    return step


def flops_per_view(depth: int, size: int) -> int:
    """Counts the operations of a training step's convolutions; 2 per multiply-add.

    The gradients for the weights and for the input cost as much as the convolution
    itself. The first layer needs no gradient for its input.
    """
    with tf.Graph().as_default() as graph:
        encoder = ResNet(depth=depth)
        encoder(tf.zeros([1, size, size, 3]), training=False)
        counts = []
        for operation in graph.get_operations():
            if operation.type == "Conv2D":
                kernel = operation.inputs[1].shape
                _, height, width, _ = operation.outputs[0].shape
                counts.append(2 * height * width * int(np.prod(kernel)))
    return 3 * sum(counts) - counts[0]


def ceiling(precision: str, side: int = 2048) -> float:
    """Returns the best FLOP/s of a large matrix product."""
    a = tf.cast(tf.random.stateless_normal([side, side], [0, 1]), precision)
    product = tf.function(lambda: tf.reduce_sum(tf.cast(a @ a, tf.float32)))
    product()
    best = min(_seconds(product) for _ in range(10))
    return 2 * side**3 / best


def _seconds(step: Step) -> float:
    start = time.perf_counter()
    float(step())
    return time.perf_counter() - start


def profile(step: Step) -> dict[str, float]:
    """Returns operation -> its share of the time of all operations."""
    from tensorflow.tsl.profiler.protobuf import xplane_pb2

    with tempfile.TemporaryDirectory() as folder:
        with tf.profiler.experimental.Profile(folder):
            float(step())
        (path,) = glob.glob(f"{folder}/**/*.xplane.pb", recursive=True)
        space = xplane_pb2.XSpace()
        with open(path, "rb") as file:
            space.ParseFromString(file.read())
    times: collections.Counter[str] = collections.Counter()
    for plane in space.planes:
        names = plane.event_metadata
        for line in plane.lines:
            for event in line.events:
                name = names[event.metadata_id].name
                # Operations are traced as `name:Type`; other entries are of the
                # runtime.
                _, separator, kind = name.rpartition(":")
                if separator and kind.isidentifier() and "::" not in name:
                    times[kind] += event.duration_ps
    total = sum(times.values())
    return {
        kind: round(value / total, 4)
        for kind, value in times.most_common(14)
        if total and value / total >= 0.002
    }


def main() -> None:
    """Runs one case."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--network", choices=CASES, default="resnet18")
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--batch", type=int, help="images; the case's own by default")
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("--precision", choices=POLICY, nargs="+", default=list(POLICY))
    args = parser.parse_args()
    depth, size, batch = CASES[args.network]
    batch = args.batch or batch
    draw = np.random.default_rng(0)
    images = tf.constant(draw.random([batch, VIEWS, size, size, 3], np.float32))
    makers = {"sslkit": ours, "plain keras": plain}
    steps = {
        (name, precision): make(images, depth, precision)
        for precision in args.precision
        for name, make in makers.items()
    }
    for step in steps.values():
        _seconds(step)
        _seconds(step)
    times = collections.defaultdict(list)
    for _ in range(args.rounds):
        for key, step in steps.items():
            times[key].append(_seconds(step))
    views = batch * VIEWS
    work = flops_per_view(depth, size) * views
    limits = {precision: ceiling(precision) for precision in args.precision}
    medians = {key: statistics.median(values) for key, values in times.items()}
    base = medians.get(("plain keras", "float32"))
    for (name, precision), seconds in medians.items():
        line = {
            "network": args.network,
            "size": size,
            "batch": batch,
            "views": VIEWS,
            "step": name,
            "precision": precision,
            "milliseconds": round(1e3 * seconds, 1),
            "views_per_second": round(views / seconds, 1),
            "gflops": round(work / seconds / 1e9, 1),
            "matmul_gflops": round(limits[precision] / 1e9, 1),
            "share_of_matmul": round(work / seconds / limits[precision], 3),
            "against_plain": round(medians["plain keras", precision] / seconds, 3),
        }
        if base is not None:
            line["against_plain_float32"] = round(base / seconds, 3)
        if args.profile:
            line["time_by_operation"] = profile(steps[name, precision])
        print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
