"""A recorded training run of the published implementation, and ours beside it."""

from __future__ import annotations

import json

import numpy as np
import tensorflow as tf
from nn.published import (
    encoder_names,
    projection_names,
    use_recorded_constant,
    weight,
)

from sslkit.api import Augmentation, Schedule, ViewGroup
from sslkit.data.batches import TrainingBatch
from sslkit.nn import ResNet
from sslkit.optimize.lars import LARS
from sslkit.optimize.schedules import WarmupCosine
from sslkit.testing.precision import precision
from sslkit.train.state import TrainState
from sslkit.train.step import TrainStep
from sslkit_fnc.objective import FNC


def load(path):
    """Reads all arrays of a file and closes it."""
    with np.load(path) as arrays:
        return dict(arrays)


class Recorded(Augmentation):
    """Views that were made before: first the instance views, then the support."""

    def __init__(self, *, views, dtype):
        self._support = views - 2
        self._dtype = dtype

    @property
    def groups(self):
        return {"instance": ViewGroup(2, 32), "support": ViewGroup(self._support, 32)}

    def example(self, image, seed):
        raise AssertionError("never called: recorded views need no images")

    def batch(self, views, *, step_seed, example_seeds):
        return views.map(lambda stack: tf.cast(stack, self._dtype))


class Recast(Schedule):
    """A schedule in the precision of the run."""

    def __init__(self, inner, dtype):
        self._inner = inner
        self._dtype = dtype

    def rate(self, step, **run):
        return tf.cast(self._inner.rate(step, **run), self._dtype)


class Run:
    """One recorded pretraining run through the real training step."""

    def __init__(self, folder, name, *, dtype="float32"):
        about = json.loads((folder / f"{name}.json").read_text())
        flags = about["flags"]
        self.about = about
        self.recorded = load(folder / f"{name}.npz")
        batches = load(folder / "batches.npz")
        self._images = batches["images"][..., : 3 * about["views"]]
        self._labels = batches["labels"].astype("int32")
        self._dtype = dtype
        with precision(dtype):
            self._build(flags, about, dtype)

    def _build(self, flags, about, dtype):
        optimizer = LARS(momentum=flags["momentum"], weight_decay=flags["weight_decay"])
        views = Recorded(views=about["views"], dtype=dtype)
        self.state = TrainState(
            lambda: FNC(
                lambda name: ResNet(depth=18, name=name),
                support=flags["support_size"],
                temperature=flags["temperature"],
                topk=flags["fn_topk"],
                threshold=flags["fn_threshold"],
                bank=flags["memory_multiplier"],
                decay=flags["moving_average_decay"],
            ),
            optimizer,
            strategy=tf.distribute.get_strategy(),
            groups=views.groups,
            batch_size=about["batch"],
            seed=0,
        )
        use_recorded_constant(self.state.objective)
        self.named = dict(self._names())
        for name, variable in self.named.items():
            if not name.endswith(("Momentum", "memory", "global_step")):
                variable.assign(weight(name, tuple(variable.shape)))
        self._step = tf.function(
            TrainStep(
                self.state,
                views,
                optimizer,
                Recast(
                    WarmupCosine(
                        base=flags["learning_rate"],
                        scaling=flags["learning_rate_scaling"],
                        warmup_epochs=flags["warmup_epochs"],
                    ),
                    dtype,
                ),
                steps=flags["train_epochs"]
                * about["num_train_examples"]
                // about["batch"]
                + 1,
                batch_size=about["batch"],
                examples=about["num_train_examples"],
                seed=0,
            )
        )

    def _names(self):
        objective = self.state.objective
        yield "global_step", self.state.step
        yield from encoder_names(objective.encoder)
        yield from projection_names(objective.projection)
        if objective.momentum is not None:
            encoder, projection = objective.momentum.layers
            for name, variable in (
                *encoder_names(encoder),
                *projection_names(projection),
            ):
                yield f"ema_model/{name}", variable
        if objective.bank is not None:
            yield "memory/memory", objective.bank.rows
        paths = {id(variable): path for path, variable in self.state.trainable.items()}
        for name, variable in (
            *encoder_names(objective.encoder),
            *projection_names(objective.projection),
        ):
            if variable.trainable:
                slot = self.state.slots[paths[id(variable)]]["momentum"]
                yield f"{name}/Momentum", slot

    def step(self, index):
        """Makes update `index`; returns metrics as numbers."""
        pixels = self._images[index]
        batch, size, _, channels = pixels.shape
        views = pixels.reshape(batch, size, size, channels // 3, 3)
        # The published run was fed what numpy divides in float32. TensorFlow would
        # multiply by the reciprocal, which rounds to other numbers.
        views = np.float32(views.transpose(3, 0, 1, 2, 4)) / np.float32(255)
        layout = (("instance", 2), ("support", len(views) - 2))
        shown = TrainingBatch(
            {layout: tf.constant(views)},
            tf.constant(self._labels[index]),
            tf.ones([batch]),
            tf.zeros([batch, 2], tf.int32),
        )
        with precision(self._dtype):
            metrics = self._step(shown)
        return {name: float(value) for name, value in metrics.items()}

    def norms(self):
        """Returns the length of every recorded variable, in recorded order."""
        lengths = {
            name: np.linalg.norm(np.float64(variable.numpy()))
            for name, variable in self.named.items()
        }
        return np.array([lengths[name] for name in self.about["var_names"]])
