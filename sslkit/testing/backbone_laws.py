"""Laws of backbones."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import keras
import numpy as np
import tensorflow as tf

from sslkit import randomness, replica
from sslkit.api import Backbone
from sslkit.testing.comparison import differences
from sslkit.testing.devices import strategy
from sslkit.testing.law import Broken, NotChecked, Subject
from sslkit.testing.precision import precision
from sslkit.testing.short_run import BATCH, SIZE
from sslkit.training.state import freeze_again

_FLOAT64 = 1e-9
_STEP_SEED = (3, 4)


def _images(dtype: str = "float32") -> tf.Tensor:
    draw = np.random.default_rng(2)
    return tf.constant(draw.uniform(size=[BATCH, SIZE, SIZE, 3]), dtype)


def _example_seeds() -> tf.Tensor:
    return tf.constant([[7, row] for row in range(BATCH)], tf.int32)


def built(subject: Subject, *, seed: int = 1, frozen: bool = False) -> Backbone:
    """Returns a built backbone, made in the same way as the core makes it."""
    keras.utils.set_random_seed(seed)
    backbone = subject.plugin(**{"name": "encoder", **subject.options})
    backbone.trainable = not frozen
    backbone(keras.KerasTensor((BATCH, SIZE, SIZE, 3)), training=True)
    freeze_again(backbone)
    return backbone


def _pair(subject: Subject) -> list[Backbone]:
    """Returns two builds with the same seed; laws restore their state."""
    if "pair" not in subject.runs:
        subject.runs["pair"] = [built(subject), built(subject)]
    return subject.runs["pair"]


@contextlib.contextmanager
def _restored(backbone: Backbone) -> Iterator[Backbone]:
    """Restores a backbone's variables afterwards."""
    before = _values(backbone)
    try:
        yield backbone
    finally:
        for variable in backbone.variables:
            variable.assign(before[variable.path])


def _values(backbone: Backbone) -> dict[str, np.ndarray]:
    return {variable.path: variable.numpy() for variable in backbone.variables}


def gives_one_vector_per_image(subject: Subject) -> None:
    """The heads were made for another width than that of the features."""
    width = subject.make().feature_dim
    for training in (False, True):
        with _restored(_pair(subject)[0]) as backbone:
            out = backbone(_images(), training=training)
        if tuple(out.shape) != (BATCH, width) or out.dtype != tf.float32:
            raise Broken(
                f"call returns {out.dtype.name} {list(out.shape)}, but by feature_dim "
                f"it must be float32 [{BATCH}, {width}]",
                "Pool over pixels, and compute feature_dim from the options",
            )
    with precision("mixed_bfloat16"):
        half = built(subject)
        kind = half(_images(), training=False).dtype
    if kind != tf.float32:
        raise Broken(
            f"under mixed_bfloat16 it returns {kind.name}",
            "Cast the last activation to float32 before pooling",
        )


def is_deterministic(subject: Subject) -> None:
    """An image's features changed from call to call, or with the rest of the batch."""
    backbone, twin = _pair(subject)
    starts = _of_same_paths(backbone, twin)
    images = _images()
    first, again = (backbone(images, training=False).numpy() for _ in range(2))
    if np.any(first != again):
        raise Broken(
            "in inference mode two calls differ",
            "Use no random numbers when training is False",
        )
    error = float(np.max(np.abs(backbone(images[:3], training=False) - first[:3])))
    if error > 1e-4 * max(1.0, float(np.max(np.abs(first)))):
        raise Broken(
            "in inference mode features depend on the rest of the batch, by "
            f"{error:.2g}",
            "Normalise by moving statistics when training is False",
        )
    moved = differences(*starts, within=0)
    if moved:
        raise Broken(
            f"two builds with the same seed have different weights: {moved}",
            "Draw initial weights with Keras initializers",
        )


def _of_same_paths(
    one: Backbone, other: Backbone
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Returns path -> value for two backbones of one class."""
    first, second = _values(one), _values(other)
    if first.keys() != second.keys():
        raise NotChecked(
            "two builds name their variables differently",
            "See the law 'names all its layers'",
        )
    return first, second


def draws_the_same_in_the_same_step(subject: Subject) -> None:
    """Dropout used global random state, so a resumed run got other noise."""
    backbone = _pair(subject)[0]
    images, seeds = _images(), _example_seeds()
    found = []
    for _ in range(2):
        with _restored(backbone), randomness.drawing(_STEP_SEED, seeds):
            found.append(backbone(images, training=True).numpy())
    if np.any(found[0] != found[1]):
        raise Broken(
            "two calls in training mode, in one step and with the same weights, differ",
            "Draw with sslkit.randomness.draw, which uses the step and the examples",
        )
    still = backbone(images, training=False).numpy()
    with randomness.drawing(_STEP_SEED, seeds):
        inside = backbone(images, training=False).numpy()
    if np.any(inside != still):
        raise Broken(
            "in inference mode inside a training step, as for a frozen encoder, it "
            "uses random numbers",
            "Use no random numbers when training is False",
        )


def does_not_change_when_frozen(subject: Subject) -> None:
    """Linear evaluation changed the encoder that it was to measure."""
    backbone = _pair(subject)[0]
    before = _values(backbone)
    with _restored(backbone):
        _hold_still(backbone, before)
    frozen = built(subject, frozen=True)
    frozen(_images(), training=False)
    # The layer that holds a frozen layer reads `trainable` of its variables.
    trained = [v.path for v in frozen.variables if v.trainable]
    if trained:
        raise Broken(
            "it was frozen before it was built, but still trains "
            f"{', '.join(trained[:3])}",
            "Do not set `trainable` in call: the core freezes variables after build",
        )


def _hold_still(backbone: Backbone, before: dict[str, np.ndarray]) -> None:
    backbone(_images(), training=False)
    moved = differences(_values(backbone), before, within=0)
    if moved:
        raise Broken(
            f"a call in inference mode changes {moved}",
            "Update statistics only in training mode",
        )
    backbone(_images(), training=True)
    now = _values(backbone)
    weights = [variable.path for variable in backbone.trainable_variables]
    moved = differences(
        {path: now[path] for path in weights},
        {path: before[path] for path in weights},
        within=0,
    )
    if moved:
        raise Broken(
            f"a call in training mode changes weights: {moved}",
            "Only the optimizer may change trainable weights",
        )


def names_all_its_layers(subject: Subject) -> None:
    """Two variables had the same name, or automatic names."""
    first, second = (
        [variable.path for variable in built.variables] for built in _pair(subject)
    )
    twice = sorted({path for path in first if first.count(path) > 1})
    if twice:
        raise Broken(
            f"two variables are called {twice[0]}",
            "Give each layer a different name, and call a layer only inside the layer "
            "that holds it",
        )
    odd = sorted(set(first) ^ set(second))
    if odd:
        raise Broken(
            f"two builds in one process name variables differently: "
            f"{', '.join(odd[:2])}",
            "Name every layer: an automatic name counts per process",
        )
    outside = [path for path in first if not path.startswith("encoder/")]
    if outside:
        raise Broken(
            f"{outside[0]} does not begin with the backbone's name, 'encoder'",
            "Take the argument `name` and pass it on to the base class",
        )


def gradient_reaches_every_weight(subject: Subject) -> None:
    """A layer that was not used was saved and decayed, but never trained."""
    draw = np.random.default_rng(5)
    with _restored(_pair(subject)[0]) as backbone:
        for weight in backbone.trainable_variables:
            # Residual branches may start with a factor of zero.
            noise = draw.normal(0, 0.1, weight.shape).astype(np.float32)
            weight.assign(weight.numpy() + noise)
        values = [weight.value for weight in backbone.trainable_variables]
        with tf.GradientTape() as tape:
            features = backbone(_images(), training=True)
            factors = tf.constant(draw.normal(size=features.shape), tf.float32)
            loss = tf.reduce_sum(features * factors)
        gradients = tape.gradient(loss, values)
    dead = [
        weight.path
        for weight, gradient in zip(
            backbone.trainable_variables, gradients, strict=True
        )
        if gradient is None or not np.any(gradient)
    ]
    if dead:
        raise Broken(
            f"no gradient reaches {', '.join(dead[:3])}",
            "Use these weights in call, or do not create them",
        )


def encodes_the_same_on_two_replicas(subject: Subject) -> None:
    """Each replica used the statistics of its own images, or equal random numbers."""
    features, made = [], []
    for replicas in (1, 2):
        place = strategy(replicas)
        share = BATCH // replicas
        with precision("float64"), place.scope():
            backbone = built(subject)

            def encode(backbone=backbone, share=share):
                start = replica.index() * share
                mine = _images("float64")[start : start + share]
                seeds = _example_seeds()[start : start + share]
                with randomness.drawing(_STEP_SEED, tf.ensure_shape(seeds, [share, 2])):
                    return backbone(
                        tf.ensure_shape(mine, [share, *mine.shape[1:]]), training=True
                    )

            run = tf.function(lambda place=place, encode=encode: place.run(encode))
            parts = place.experimental_local_results(run())
        features.append(np.concatenate([part.numpy() for part in parts]))
        made.append(backbone)
    tables = _of_same_paths(*made)
    found = differences(
        {"features": features[1], **tables[1]},
        {"features": features[0], **tables[0]},
        within=_FLOAT64,
    )
    if found:
        raise Broken(
            f"two replicas differ from one: {found}",
            "Normalise with nn.BatchNorm, which uses the statistics of all replicas, "
            "and draw with sslkit.randomness.draw, which uses the examples' seeds",
        )
