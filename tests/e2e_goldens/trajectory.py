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
from sslkit.training.state import TrainState
from sslkit.training.step import TrainStep
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


class Recording:
    """What was recorded of one run.

    Attributes:
        about: the manifest.
        arrays: name -> [updates, ...].
    """

    def __init__(self, folder, name):
        self.about = json.loads((folder / f"{name}.json").read_text())
        self.arrays = load(folder / f"{name}.npz")

    def variables(self, index):
        """Returns the variables that were recorded after update `index`."""
        found = {}
        for key, values in self.arrays.items():
            # Large variables were recorded after the first and the last update alone.
            place = {0: 0, 9: 1}.get(index) if len(values) == 2 else index
            if key.startswith("var/") and place is not None:
                found[key.removeprefix("var/")] = values[place]
        return found

    def before(self, name, index):
        """Returns a variable as it was before update `index`, float64."""
        values = self.arrays[f"var/{name}"]
        if index > 0:
            return np.float64(values[index - 1])
        if name.endswith("/Momentum"):
            return np.zeros(values.shape[1:])
        return np.float64(weight(name, values.shape[1:]))

    def bank_before(self, index):
        """Returns the bank as it was before update `index`; zeros at the start."""
        banks = self.arrays["memory_updated"]
        return banks[index - 1] if index else np.zeros_like(banks[0])

    def false_negatives(self, index):
        return self.about["fn"][index]["fn_per_sample"]

    def objective(self, backbone, **options):
        flags = self.about["flags"]
        return FNC(
            backbone,
            support=flags["support_size"],
            temperature=flags["temperature"],
            topk=flags["fn_topk"],
            threshold=flags["fn_threshold"],
            bank=flags["memory_multiplier"],
            decay=flags["moving_average_decay"],
            **options,
        )

    def training(self, objective, *, dtype):
        """Returns the state and the real training step of this run."""
        flags, batch = self.about["flags"], self.about["batch"]
        optimizer = LARS(momentum=flags["momentum"], weight_decay=flags["weight_decay"])
        views = Recorded(views=self.about["views"], dtype=dtype)
        state = TrainState(
            objective,
            optimizer,
            strategy=tf.distribute.get_strategy(),
            groups=views.groups,
            batch_size=batch,
            seed=0,
        )
        use_recorded_constant(state.objective)
        schedule = WarmupCosine(
            base=flags["learning_rate"],
            scaling=flags["learning_rate_scaling"],
            warmup_epochs=flags["warmup_epochs"],
        )
        examples = self.about["num_train_examples"]
        # Called without tf.function: tracing takes longer than a few updates.
        step = TrainStep(
            state,
            views,
            optimizer,
            Recast(schedule, dtype),
            steps=flags["train_epochs"] * examples // batch + 1,
            batch_size=batch,
            examples=examples,
            seed=0,
        )
        return state, step


def shown(views, labels):
    """Makes a batch of views, [b, V, size, size, 3]."""
    return TrainingBatch(
        {"instance": views[:, :2], "support": views[:, 2:]},
        tf.constant(labels, tf.int32),
        tf.zeros([len(labels), 2], tf.int32),
        tf.range(len(labels)),
    )


class Run:
    """One recorded pretraining run through the real training step.

    Attributes:
        named: published name -> our variable, those that were recorded.
        hidden: what was contrasted in the last update, before it is normalised.
    """

    def __init__(self, folder, name, *, dtype="float32"):
        self.recording = Recording(folder, name)
        self._batches = load(folder / "batches.npz")
        self._dtype = dtype
        with precision(dtype):
            self.state, self._step = self.recording.training(
                lambda: self.recording.objective(
                    lambda name: ResNet(depth=18, name=name)
                ),
                dtype=dtype,
            )
        self.named = dict(self._names())
        for name, variable in self.named.items():
            if not name.endswith(("Momentum", "memory", "global_step")):
                variable.assign(weight(name, tuple(variable.shape)))
        projection = self.state.objective.projection
        project = projection.call

        def keep(features, *, training):
            self.hidden = project(features, training=training)
            return self.hidden

        projection.call = keep

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

    def skip_the_first(self):
        """Goes where the published run stands after its first update.

        Its learning rate was 0: the weights and the slots are those of the start, the
        momentum encoder went towards them, the bank was recorded. Moving statistics
        went somewhere, but nothing is computed from them in training.
        """
        assert self.recording.arrays["lr"][0] == 0
        objective = self.state.objective
        with precision(self._dtype):
            objective.after_update(step=tf.constant(0, tf.int64))
        if objective.bank is not None:
            objective.bank.rows.assign(self.recording.bank_before(1))
        self.state.step.assign(1)
        for name, value in self.recording.variables(0).items():
            if "/moving_" in name:
                self.named[name].assign(value)

    def step(self, index):
        """Makes update `index`; returns metrics as numbers."""
        views = self.recording.about["views"]
        pixels = self._batches["images"][index][..., : 3 * views]
        batch, size, _, _ = pixels.shape
        pixels = pixels.reshape(batch, size, size, views, 3)
        # The published run was fed what numpy divides in float32. TensorFlow would
        # multiply by the reciprocal, which rounds to other numbers.
        stack = np.float32(pixels.transpose(0, 3, 1, 2, 4)) / np.float32(255)
        labels = self._batches["labels"][index]
        with precision(self._dtype):
            metrics = self._step(shown(tf.constant(stack), labels))
        return {name: float(value) for name, value in metrics.items()}

    def norms(self):
        """Returns the length of every recorded variable by its name."""
        return {
            name: np.linalg.norm(np.float64(self.named[name].numpy()))
            for name in self.recording.about["var_names"]
        }
