"""One training step on a constant batch, in a separate process; see gpu.py.

A case is WHO:NETWORK:PRECISION, such as `ours:resnet50:bfloat16`:

- ours: SimCLR, the training step of this package
- fnc: false negative cancellation, ten views, momentum encoder, memory bank, LARS
- plain: the same network and head as `ours` of stock Keras layers, a Keras optimizer
- torch, torch-compiled: the same in PyTorch, channels last, torchvision's ResNet

It builds and compiles, prints a line of JSON, waits for a line on standard input,
measures the time and prints another line. So cases are compiled in parallel and timed
one by one. Processes share nothing, so no case profits from what another case has
warmed up.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import time
from collections.abc import Callable
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")

DEPTH = {"resnet18": 18, "resnet50": 50}
WHO = ("ours", "fnc", "plain", "torch", "torch-compiled")
PRECISIONS = ("float32", "tf32", "bfloat16")
FNC_VIEWS = 10
TEMPERATURE, RATE = 0.1, 1e-3

Run = Callable[[], float]
"""Does one step; returns its loss when the device has finished."""

Launch = Callable[[], Any]
"""Does one step without waiting for the device."""


def tensorflow_case(
    who: str, depth: int, precision: str, size: int, images: int
) -> tuple[Launch, Run]:
    """Returns a compiled step of TensorFlow."""
    import keras
    import tensorflow as tf

    tf.config.experimental.enable_tensor_float_32_execution(precision == "tf32")
    half = precision == "bfloat16"
    keras.config.set_dtype_policy("mixed_bfloat16" if half else "float32")
    jit = tf.config.list_physical_devices("GPU") != []
    if who == "plain":
        step = _plain(depth, size, images, half)
    else:
        step = _ours(who, depth, size, images)
    launch = tf.function(step, jit_compile=jit)
    return launch, lambda: float(launch())


def _ours(who: str, depth: int, size: int, images: int) -> Callable[[], Any]:
    import functools

    import tensorflow as tf

    from sslkit.api import Augmentation, Optimizer, ViewGroup
    from sslkit.data.batches import TrainingBatch
    from sslkit.nn import ResNet
    from sslkit.optimize.lars import LARS
    from sslkit.optimize.momentum import Momentum
    from sslkit.optimize.schedules import Constant
    from sslkit.training.state import TrainState
    from sslkit.training.step import TrainStep
    from sslkit_fnc.objective import FNC
    from sslkit_simclr.objective import SimCLR

    resnet = functools.partial(ResNet, depth=depth)
    groups = {"instance": ViewGroup(2, size)}
    optimizer: Optimizer = Momentum()
    make = functools.partial(SimCLR, resnet, temperature=TEMPERATURE)
    if who == "fnc":
        # With the bindings of gin/parts/fnc.gin.
        groups["support"] = ViewGroup(FNC_VIEWS - 2, size)
        optimizer = LARS(momentum=0.9, weight_decay=1e-4, trust=0.001)
        make = functools.partial(
            FNC,
            resnet,
            support=FNC_VIEWS - 2,
            false_negatives="attract",
            topk=10,
            threshold=0.7,
            aggregate="max",
            temperature=TEMPERATURE,
            bank=16,
            decay=0.999,
            momentum_init="random",
        )

    class Constants(Augmentation):
        """Views that need no work."""

        @property
        def groups(self) -> dict[str, ViewGroup]:
            return groups

        def example(self, image, seed):
            raise AssertionError("never called: the batch is constant")

        def batch(self, views, *, step_seed, example_seeds):
            return views

    state = TrainState(
        make,
        optimizer,
        strategy=tf.distribute.get_strategy(),
        groups=groups,
        batch_size=images,
        seed=0,
    )
    step = TrainStep(
        state,
        Constants(),
        optimizer,
        Constant(base=RATE),
        steps=10**6,
        batch_size=images,
        examples=10**6,
        seed=0,
    )
    views = {
        name: tf.random.stateless_uniform([images, count, size, size, 3], [place, 1])
        for place, (name, (count, _)) in enumerate(groups.items())
    }
    batch = TrainingBatch(
        views=views,
        label=tf.zeros([images], tf.int32),
        example_seeds=tf.zeros([images, 2], tf.int32),
        index=tf.range(images),
    )
    return lambda: step(batch)["loss"]


def _plain(depth: int, size: int, images: int, half: bool) -> Callable[[], Any]:
    import keras
    import tensorflow as tf

    from sslkit.export.keras_model import stock_layers
    from sslkit.nn import ResNet
    from sslkit.objectives import multi_view_nt_xent

    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32")
    encoder = ResNet(depth=depth, name="encoder")
    encoder.build((None, size, size, 3))
    keras.config.set_dtype_policy(policy)
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
    flat = tf.random.stateless_uniform([2 * images, size, size, 3], [0, 1])

    def step() -> tf.Tensor:
        with tf.GradientTape() as tape:
            projected = tf.cast(model(flat, training=True), tf.float32)
            unit = tf.math.l2_normalize(projected, 1)
            anchors = tf.reshape(unit, [2, -1, unit.shape[1]])
            loss = multi_view_nt_xent(anchors, unit, temperature=TEMPERATURE)
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply(gradients, model.trainable_variables)
        return loss

    return step


def torch_case(
    who: str, depth: int, precision: str, size: int, images: int
) -> tuple[Launch, Run]:
    """Returns a step of PyTorch."""
    import torch
    import torchvision

    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.backends.cuda.matmul.allow_tf32 = precision == "tf32"
    torch.backends.cudnn.allow_tf32 = precision == "tf32"
    torch.backends.cudnn.benchmark = True
    torch.manual_seed(0)
    encoder = getattr(torchvision.models, f"resnet{depth}")(zero_init_residual=True)
    width, encoder.fc = encoder.fc.in_features, torch.nn.Identity()
    if size < 64:  # the stem for small images, as ours has
        encoder.conv1 = torch.nn.Conv2d(3, 64, 3, padding=1, bias=False)
        encoder.maxpool = torch.nn.Identity()
    layers: list[torch.nn.Module] = [encoder]
    for last in (False, False, True):
        units = 128 if last else width
        layers += [torch.nn.Linear(width, units, bias=False)]
        layers += [torch.nn.BatchNorm1d(units)]
        layers += [] if last else [torch.nn.ReLU(inplace=True)]
    model = torch.nn.Sequential(*layers).to(device, memory_format=torch.channels_last)
    model.train()
    pixels = torch.rand(2 * images, 3, size, size, device=device)
    pixels = pixels.to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(
        model.parameters(), lr=RATE, momentum=0.9, nesterov=True
    )
    criterion = _torch_loss()
    forward = torch.compile(model) if who == "torch-compiled" else model

    def launch() -> Any:
        optimizer.zero_grad(set_to_none=True)
        half = precision == "bfloat16"
        with torch.autocast(device, dtype=torch.bfloat16, enabled=half):
            projected = forward(pixels)
        loss = criterion(*projected.float().chunk(2))
        loss.backward()
        optimizer.step()
        return loss.detach()

    return launch, lambda: float(launch())


def _torch_loss() -> Callable[[Any, Any], Any]:
    """Returns lightly's loss if it is installed, or else the same in plain PyTorch."""
    try:
        from lightly.loss import NTXentLoss
    except ImportError:
        import torch
        import torch.nn.functional as functional

        def loss(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
            unit = functional.normalize(torch.cat([first, second]), dim=1)
            rows = len(unit)
            own = torch.eye(rows, dtype=torch.bool, device=unit.device)
            logits = (unit @ unit.T / TEMPERATURE).masked_fill(own, float("-inf"))
            target = torch.arange(rows, device=unit.device).roll(rows // 2)
            return functional.cross_entropy(logits, target)

        return loss
    return NTXentLoss(temperature=TEMPERATURE)


def main() -> None:
    """Runs one case."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("case", help="WHO:NETWORK:PRECISION")
    parser.add_argument("--size", type=int, required=True, help="pixels")
    parser.add_argument("--images", type=int, required=True)
    parser.add_argument("--seconds", type=float, default=4.0)
    args = parser.parse_args()
    who, network, precision = args.case.split(":")
    if who not in WHO or network not in DEPTH or precision not in PRECISIONS:
        parser.error(f"{args.case} is not a case")
    build = torch_case if who.startswith("torch") else tensorflow_case
    try:
        start = time.perf_counter()
        launch, run = build(who, DEPTH[network], precision, args.size, args.images)
        loss = run()
        first = time.perf_counter() - start
    except ImportError as error:
        print(json.dumps({"missing": error.name}), flush=True)
        return
    print(json.dumps({"first_seconds": round(first, 2)}), flush=True)
    if not sys.stdin.readline():
        return
    start = time.perf_counter()
    for _ in range(2):
        run()
    each = (time.perf_counter() - start) / 2
    count = max(2, math.ceil(args.seconds / each))
    start = time.perf_counter()
    for _ in range(count - 1):
        launch()
    last = run()
    spent = time.perf_counter() - start
    views = args.images * (FNC_VIEWS if who == "fnc" else 2)
    print(
        json.dumps(
            {
                "views_per_second": round(views * count / spent, 1),
                "losses": [round(loss, 4), round(last, 4)],
            }
        ),
        flush=True,
    )


if __name__ == "__main__":
    main()
