"""The momentum twin of online layers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import keras
import numpy as np
import tensorflow as tf

from sslkit import replica
from sslkit.errors import UserError


def cosine_fall(*, step: tf.Tensor, steps: int) -> tf.Tensor:
    """Returns the factor of 1 - decay at a step (Grill et al. 2020, section 3.3).

    The decay d(t) rises to 1 over a run: 1 - d(t) = (1 - d(0)) f(t) with

        f(t) = (cos(pi t / T) + 1) / 2 = sin(pi (T - t) / 2T)^2

    The second form is precise in float32 up to the end of the run.

    Args:
        step: int64 [], t, updates done so far.
        steps: T, updates of the whole run.

    Returns:
        float32 [], f(t), from 1 to 0.

    Examples:
        >>> falls = [cosine_fall(step=tf.constant(n), steps=4) for n in range(5)]
        >>> [round(float(fall), 3) for fall in falls]
        [1.0, 0.854, 0.5, 0.146, 0.0]
    """
    left = tf.cast(steps - step, tf.float32) / steps
    return tf.square(tf.sin(math.pi / 2 * left))


DecaySchedule = Literal["constant", "cosine"]
"""How a momentum twin's decay changes over a run: it is constant, or rises to 1 along
half a cosine; see `cosine_fall`."""


def decay_scale(
    schedule: DecaySchedule, *, step: tf.Tensor, steps: int | None, owner: str
) -> tf.Tensor | None:
    """Returns the factor of a momentum twin's 1 - decay at a step.

    Args:
        schedule: see `DecaySchedule`.
        step: int64 [], updates done so far.
        steps: updates of the whole run; None if that is not known.
        owner: name of the objective, for messages.

    Returns:
        float32 [], or None if the decay is constant; for `MomentumTwin.follow`.

    Raises:
        UserError: if it depends on the length of the run, and this is not known.
    """
    if schedule == "constant":
        return None
    if steps is None:
        raise UserError(
            f"{owner}: decay_schedule is '{schedule}' and the length of the run is not "
            "known. Set `steps` of the objective."
        )
    return cosine_fall(step=step, steps=steps)


class MomentumTwin(keras.layers.Layer):
    """Layers whose weights are a moving average of others' (He et al. 2020, eq. 2).

    It is built by the same factories as the online layers, and calls its layers one
    after the other. Nothing in it is trained, and no gradient passes through it. Its
    batch normalisation uses batch statistics in training, and has separate moving
    statistics.

    Args:
        layers: the twins of the online layers, in the order in which they are called.
        name: the layer's name.
    """

    def __init__(self, layers: Sequence[keras.layers.Layer], *, name: str) -> None:
        """Keeps the layers; see the class."""
        super().__init__(name=name)
        self.layers = list(layers)
        self.trainable = False

    def call(self, x: tf.Tensor, *, training: bool) -> tf.Tensor:
        """Runs the layers one after the other and stops gradients.

        Args:
            x: the input of the first layer, e.g. images [n, size, size, 3].
            training: whether normalisation uses (and tracks) batch statistics.

        Returns:
            The output of the last layer.
        """
        for layer in self.layers:
            x = layer(x, training=training)
        # Layers may make sub-layers when they are first called, and these are trainable
        # at first, even if the constructor has frozen the layer.
        for variable in self.variables:
            variable.trainable = False
        return tf.stop_gradient(x)

    def follow(
        self,
        online: Sequence[keras.layers.Layer],
        *,
        decay: float,
        scale: tf.Tensor | None = None,
    ) -> None:
        """Updates each weight: twin <- decay * twin + (1 - decay) * online.

        It is called in replica context, after the optimizer's update. The weights are
        the trainable variables of `online`; moving statistics do not change.

        Args:
            online: built layers, in the order and of the structure of `layers`.
            decay: share of the twin that is kept, in [0, 1].
            scale: float32 [], the factor of 1 - decay if the decay follows a schedule,
                e.g. `cosine_fall`; None for 1.

        Raises:
            ValueError: if the twin lacks one of the weights, or has it in another
                shape.
        """
        pairs = [pair for pair in self._pairs(online) if pair[1].trainable]
        shadows = [shadow for shadow, _ in pairs]
        moved = []
        for shadow, weight in pairs:
            kept, seen = tf.convert_to_tensor(shadow), tf.convert_to_tensor(weight)
            # 1 - decay is computed before rounding to float32: for a decay near 1, the
            # difference of rounded numbers has a relative error of 5e-5. This is why a
            # schedule is given as a factor.
            share = 1 - decay
            if scale is not None:
                share *= tf.cast(scale, kept.dtype)
            moved.append(kept + share * (seen - kept))
        replica.assign(shadows, moved)

    def copy(self, online: Sequence[keras.layers.Layer]) -> None:
        """Sets every variable, also moving statistics, to its value in `online`.

        It is called eagerly, outside replica context.

        Args:
            online: built layers, in the order and of the structure of `layers`.

        Raises:
            ValueError: if the two differ in structure.
        """
        for shadow, weight in self._pairs(online):
            shadow.assign(weight)

    def distance(self, online: Sequence[keras.layers.Layer]) -> float:
        """Returns how far it is from the online layers; called outside replica context.

        This is the norm of the difference of all trained weights, divided by the norm
        of the online weights: 0 for a copy, about 1.4 for unrelated weights.

        Args:
            online: built layers, in the order and of the structure of `layers`.
        """
        apart = length = 0.0
        for shadow, weight in self._pairs(online):
            if weight.trainable:
                seen = weight.numpy().astype(np.float64)
                apart += float(np.sum((shadow.numpy() - seen) ** 2))
                length += float(np.sum(seen**2))
        return math.sqrt(apart / length) if length else 0.0

    def _pairs(
        self, online: Sequence[keras.layers.Layer]
    ) -> list[tuple[keras.Variable, keras.Variable]]:
        """Pairs twin and online variables by their paths inside their layers."""
        if len(online) != len(self.layers):
            raise ValueError(
                f"{self.name} has {len(self.layers)} layers and was given "
                f"{len(online)} to follow; pass the online layer of each"
            )
        pairs = []
        for shadow, layer in zip(self.layers, online, strict=True):
            own, other = _by_path(shadow), _by_path(layer)
            if _shapes(own) != _shapes(other):
                odd = sorted(
                    path for path, _ in _shapes(own).items() ^ _shapes(other).items()
                )
                raise ValueError(
                    f"{self.name}: {shadow.path} is not a twin of {layer.path}; they "
                    f"differ in {', '.join(odd)}. Build both with one factory and call "
                    "both before this"
                )
            pairs += [(own[path], other[path]) for path in own]
        return pairs


def _by_path(layer: keras.layers.Layer) -> dict[str, keras.Variable]:
    prefix = f"{layer.path}/"
    return {
        variable.path.removeprefix(prefix): variable for variable in layer.variables
    }


def _shapes(variables: dict[str, keras.Variable]) -> dict[str, tuple[int, ...]]:
    return {path: tuple(variable.shape) for path, variable in variables.items()}
