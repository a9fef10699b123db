"""Single updates, each from the state that was recorded before it.

Of the state of a published run, at every one of its ten updates, there are the
embeddings of both encoders, the bank, and a dozen of the encoder's weights. That is all
that the training step works with, but for the encoder: so here the encoder is what was
recorded of it, and the rest is ours. No error is carried from one update to the next,
and each can be compared to the last digit that was recorded.

The gradient of the head's last scale is that of our loss. Those of the encoder's
weights are what the recorded slots and lengths say they were.
"""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf
from e2e_goldens.trajectory import Recording, shown
from nn.published import projection_names, weight

from sslkit.api import Backbone
from sslkit.testing.precision import precision

ENCODER = "base_model/"
TWIN = "ema_model/"
# The last layer of the head, whose output is what was recorded as `hidden`.
NORM = "head_contrastive_instance/nl_2/batch_normalization/"
EPSILON = 1e-5


class Weights(keras.layers.Layer):
    """Weights of one published layer, leaf -> value at the start."""

    def __init__(self, values, *, name):
        super().__init__(name=name)
        self._values = values

    def build(self, shape):
        self.leaves = {
            leaf: self.add_weight(name=leaf, shape=value.shape)
            for leaf, value in self._values.items()
        }


class RecordedEncoder(Backbone):
    """Weights that were recorded, and features and gradients that were, too.

    Attributes:
        features: [n, width], what a call returns.
        gradients: published name of a weight -> what its gradient is.
    """

    def __init__(self, values, features, *, name):
        super().__init__(name=name)
        self.features = features
        self.gradients = {}
        layers = {}
        for published, value in values.items():
            layer, leaf = published.removeprefix(ENCODER).split("/")
            layers.setdefault(layer, {})[leaf] = value
        self._layers_of_weights = [
            Weights(leaves, name=layer) for layer, leaves in layers.items()
        ]

    @property
    def feature_dim(self):
        return self.features.shape[1]

    def build(self, shape):
        for layer in self._layers_of_weights:
            layer.build(shape)

    @property
    def named(self):
        return {
            f"{ENCODER}{layer.name}/{leaf}": variable
            for layer in self._layers_of_weights
            for leaf, variable in layer.leaves.items()
        }

    def call(self, images, *, training):
        names = list(self.named)

        @tf.custom_gradient
        def encode(*weights):
            features = tf.constant(self.features, self.compute_dtype)
            return features, lambda _: [
                tf.constant(self.gradients[name], self.compute_dtype) for name in names
            ]

        return encode(*[tf.convert_to_tensor(v.value) for v in self.named.values()])


def before_norm(hidden, gamma, mean):
    """Returns what normalisation turns into `hidden`, up to what it does not see.

    A column of variance v has v / (v + epsilon) afterwards, which says what v was.
    """
    unit = hidden / gamma
    share = unit.var(axis=0)
    variance = EPSILON * share / (1 - share)
    return (unit - unit.mean(axis=0)) * np.sqrt(variance + EPSILON) + mean


def lengthened(unit, gamma):
    """Undoes the scaling of rows to length 1: normalisation had centred each column.

    So the lengths are the one combination of the rows that is zero. It is known up to
    a factor; any will do that leaves a column a variance below 1 after normalisation.
    """
    _, sizes, rows = np.linalg.svd(unit.T, full_matrices=False)
    assert sizes[-1] < 1e-4 * sizes[-2], "the lengths are not determined"
    hidden = unit * np.abs(rows[-1])[:, np.newaxis]
    largest = (hidden / gamma).var(axis=0).max()
    return hidden * np.sqrt((1 - EPSILON) / largest)


class Replay:
    """The real training step, with a published run's encoder for its encoder.

    Attributes:
        recording: of the published run.
        named: published name -> our variable.
    """

    def __init__(self, folder, name):
        self.recording = Recording(folder, name)
        about = self.recording.about
        self._names = [
            name
            for name in self.recording.variables(0)
            if name.startswith(ENCODER)
            and not name.endswith("/Momentum")
            and "/moving_" not in name
        ]
        values = {name: self.recording.before(name, 0) for name in self._names}
        hidden = self.recording.arrays["hidden"][0]
        self._labels = np.zeros([about["batch"]], int)
        self._views = tf.zeros([about["batch"], about["views"], 32, 32, 3])
        with precision("float64"):
            self._state, self._step = self.recording.training(
                lambda: self.recording.objective(
                    lambda name: RecordedEncoder(values, hidden, name=name),
                    projection_layers=1,
                ),
                dtype="float64",
            )
        self._objective = self._state.objective
        self._bank = self._objective.bank
        encoders = [("", self._objective.encoder, self._objective.projection)]
        if self._bank is not None:
            encoders.append((TWIN, *self._objective.momentum.layers))
        self.named, self._dense = {}, []
        for scope, encoder, projection in encoders:
            for name, variable in (
                *encoder.named.items(),
                # Ours is the only layer of the head.
                *(
                    (name.replace("nl_0", "nl_2"), variable)
                    for name, variable in projection_names(projection)
                ),
            ):
                if name.endswith("dense/kernel"):
                    self._dense.append(variable)
                else:
                    self.named[scope + name] = variable
            variance = self.named[f"{scope}{NORM}moving_variance"]
            variance.assign(
                weight(f"{scope}{NORM}moving_variance", tuple(variance.shape))
            )
        self._slots = {}
        for path, learned in self._state.trainable.items():
            for name, variable in self.named.items():
                if variable is learned:
                    self._slots[name] = self._state.slots[path]["momentum"]
        kernel = f"{ENCODER}conv2d/kernel"
        self.named[f"{kernel}/Momentum"] = self._slots[kernel]
        if self._bank is not None:
            self.named["memory/memory"] = self._bank.rows

    def step(self, index):
        """Makes update `index` from the recorded state; returns metrics as numbers."""
        recording = self.recording
        for name, variable in self.named.items():
            # What was not recorded, the moving variance, goes on from update to update.
            if f"var/{name}" in recording.arrays and name != "memory/memory":
                variable.assign(recording.before(name, index))
        for name, slot in self._slots.items():
            slot.assign(self._velocity(name, index - 1))
        for kernel in self._dense:
            kernel.assign(np.eye(kernel.shape[0]))
        self._state.step.assign(index)

        hidden = np.float64(recording.arrays["hidden"][index])
        encoder = self._objective.encoder
        encoder.features = self._features("", hidden, index)
        encoder.gradients = {name: self._gradient(name, index) for name in self._names}
        if self._bank is not None:
            self._bank.rows.assign(recording.bank_before(index))
            unit = np.float64(recording.arrays["hidden_ema"][index])
            gamma = recording.before(f"{TWIN}{NORM}gamma", index)
            twin, _ = self._objective.momentum.layers
            twin.features = self._features(TWIN, lengthened(unit, gamma), index)
        with precision("float64"):
            found = self._step(shown(self._views, self._labels))
        return {name: float(value) for name, value in found.items()}

    def _features(self, scope, hidden, index):
        """Returns what the head, its kernel the identity, turns into `hidden`."""
        name = f"{scope}{NORM}moving_mean"
        old, new = (self.recording.before(name, at) for at in (index, index + 1))
        share = float(np.float32(1 - self.recording.about["flags"]["batch_norm_decay"]))
        mean = old + (new - old) / share
        return before_norm(
            hidden, self.recording.before(f"{scope}{NORM}gamma", index), mean
        )

    def _velocity(self, name, index):
        """Returns the slot after update `index`: what the update took off the weight.

        Where it was recorded, it is what was recorded.
        """
        if index < 0:
            return np.zeros_like(self.recording.before(name, 0))
        if f"var/{name}/Momentum" in self.recording.arrays:
            return self.recording.before(f"{name}/Momentum", index + 1)
        old, new = (self.recording.before(name, at) for at in (index, index + 1))
        return old - new

    def _gradient(self, name, index):
        """Returns a gradient with the recorded length, in the direction of the update.

        That of a kernel is the direction of the sum of gradient and weight decay.
        """
        flags, about = self.recording.about["flags"], self.recording.about
        length = self.recording.arrays["grad_norms"][index][
            about["grad_names"].index(name)
        ]
        added = self._velocity(name, index) - flags["momentum"] * self._velocity(
            name, index - 1
        )
        size = np.linalg.norm(added)
        if not size:
            # The learning rate was 0.
            return np.zeros_like(added)
        direction = added / size
        if not name.endswith("kernel"):
            return length * direction
        decay = flags["weight_decay"] * self.recording.before(name, index)
        along = np.sum(direction * decay)
        total = along + np.sqrt(along**2 - np.sum(decay**2) + length**2)
        return total * direction - decay
