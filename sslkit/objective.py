"""The contract of objectives, which compute the loss of a batch."""

from __future__ import annotations

import abc
from collections.abc import Mapping
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from sslkit.backbone import Backbone
from sslkit.batch import Batch, Views

__all__ = ["Compared", "Detected", "Objective", "Outcome"]


class Outcome(NamedTuple):
    """The result of an objective for one batch."""

    loss: tf.Tensor
    """float32 [], the mean over this replica's examples; the gradient that is applied
    is the mean of the replicas' gradients."""
    metrics: Mapping[str, tf.Tensor]
    """float32 [] each; averaged over replicas, and over the steps between reports."""


class Compared(NamedTuple):
    """Embedded views as a search for false negatives compares them; unit vectors."""

    references: tf.Tensor
    """float [S, b, D], the views of an image with which candidates are compared."""
    candidates: tf.Tensor
    """float [V, b, D], the views of an image that are candidates for other images."""


class Detected(NamedTuple):
    """The views that an objective takes for false negatives, for each of b images."""

    scores: tf.Tensor
    """float [b, V * b], the scores of all views of all images, view-major; the higher,
    the more certain. Views that are not candidates, such as the image's own, have the
    lowest number of the dtype."""
    chosen: tf.Tensor
    """bool [b, V * b], which of them it takes for false negatives."""
    policy: str
    """How it chooses, in words, e.g. `the 10 highest of those above 0.7`."""


class Objective(keras.layers.Layer, abc.ABC):
    """The loss that is minimised, and everything that is needed to compute it.

    An objective owns its encoder, heads, momentum twin, memory bank and prototypes, as
    named sub-layers and weights. The layer that is evaluated, exported and restored in
    other objectives is called `encoder`.

    The optimizer updates `trainable_variables` (Keras). Other state is made by
    `add_weight(..., trainable=False, aggregation="only_first_replica")`, and must be
    equal on all replicas.
    """

    encoder: Backbone
    classes: int | None = None
    """Columns of `logits`, or None if the objective has no classifier."""
    needs_labels: bool = False
    """Whether it reads `Batch.label` without having a classifier."""
    mean_over_examples: bool = False
    """Whether the loss is a mean over images in which each term depends on one image,
    so that `train.accumulate` may take the batch in parts. Batch normalisation may
    still use the statistics of a part. False if images are compared with each other, as
    negatives or by their correlations, and if `call` writes to a bank."""
    steps: int | None = None
    """Updates of the whole run, for schedules; the core sets it before the objective is
    built."""
    examples: int | None = None
    """Examples in the training split, for values that are kept per example
    (`Batch.index`) and schedules in epochs; the core sets it before the objective is
    built."""

    def __init__(self, *, name: str):
        """Makes an empty objective.

        Args:
            name: the layer's name.
        """
        # Under a half-precision policy Keras would round the batch and its weights
        # before `call`. The layers inside cast their inputs themselves.
        super().__init__(name=name, autocast=False)

    def __call__(self, batch: Batch, *args: Any, **kwargs: Any) -> Any:
        """Builds the objective if it is not built, and runs `call`.

        Args:
            batch: passed to `call`, like all other arguments.
            *args: others.
            **kwargs: likewise.

        Returns:
            The objective's output, see `call`.
        """
        # Before it builds a layer, Keras reads the shape of all that is passed, and up
        # to 3.12 fails at an index that is None. No objective needs the shapes.
        if not self.built:
            self.build()
        return super().__call__(batch, *args, **kwargs)

    def build(self, *shapes: Any, **named: Any) -> None:
        """Makes the objective's own state, by `self.add_weight`; called once.

        The layers inside are built when `call` first runs. (Without this method, Keras
        would do an additional call to find out what is built.) State is set in `call`
        or `after_update` by `sslkit.replica.assign`, with values that are equal on all
        replicas. An example is a centre that follows the global batch (`autocast=False`
        keeps it in float32 when layers compute in bfloat16):

            def build(self, *shapes, **named):
                super().build(*shapes, **named)
                self.centre = self.add_weight(
                    name="centre",
                    shape=(self.dim,),
                    initializer="zeros",
                    trainable=False,
                    autocast=False,
                    aggregation="only_first_replica",
                )

            def call(self, batch, *, step):
                ...
                mean = replica.mean(tf.reduce_mean(outputs, axis=0))
                replica.assign([self.centre], [0.9 * self.centre + 0.1 * mean])

        Args:
            *shapes: the shapes that Keras passes; they are not needed.
            **named: shapes by name, likewise.
        """
        self.built = True

    @property
    @abc.abstractmethod
    def requires(self) -> Mapping[str, int]:
        """The view groups that the objective uses, and the number of views in each."""

    @property
    def frozen_steps(self) -> Mapping[str, int]:
        """Which weights keep their values at first, and for how many updates.

        It maps patterns for the paths of weights to updates of the run, e.g.
        `{"^prototypes/": 1251}`. Until then their gradients count as zero for the
        optimizer, and their values and slots do not change. Afterwards their updates
        are counted from 0. A pattern that matches no weight is an error.
        """
        return {}

    def check_batch(self, images: int) -> None:
        """Refuses a batch that it cannot learn from, before any variable exists.

        Args:
            images: in the global batch.

        Raises:
            UserError: with the numbers, and what to change.
        """
        del images

    def describe(self) -> str:
        """Returns what of its options a run should show, for the log, in one line.

        It is called once the objective is built, when `steps` and `examples` are set,
        so it can also say that something which is to begin later never will.

        Returns:
            The line; empty, unless overridden, for none.
        """
        return ""

    @abc.abstractmethod
    def call(self, batch: Batch, *, step: tf.Tensor) -> Outcome:
        """Runs forward in training mode, in replica context.

        Args:
            batch: this replica's share of the global batch.
            step: int64 [], optimizer updates done so far.
        """

    def after_build(self) -> None:
        """Runs once, eagerly and outside replica context, when the variables exist.

        For example, a momentum twin is set to a copy of the online layers here. A
        checkpoint is restored after it.
        """

    def after_update(self, *, step: tf.Tensor) -> None:
        """Runs once after each optimizer update, in replica context.

        For example, a momentum twin follows the weights here.

        Args:
            step: int64 [], the step whose update was just applied.
        """
        del step

    def health(self, *, step: int, metrics: Mapping[str, float]) -> dict[str, float]:
        """Measures the health of the objective's state other than the encoder.

        It is called at intervals between two updates, eagerly and outside replica
        context, by one process. The numbers are reported as `health/<name>`. Some names
        can raise an alarm, see `sslkit.evaluate.alarms`: those of `MemoryBank.health`,
        and `detected_share`, the number of false negatives that a detector takes as a
        share of the most that it may take.

        Args:
            step: updates done.
            metrics: the metrics of the last update, as `call` returned them.

        Returns:
            Name -> number; empty unless overridden.
        """
        del step, metrics
        return {}

    def compared(self, views: Views) -> Compared:
        """Embeds views for a search for false negatives, for an audit.

        It runs in training mode, as in `call`, because moving statistics may still be
        far from their values early in a run. The caller restores state that changes.

        Args:
            views: group -> [count, b, size, size, 3], as for `call`.

        Returns:
            Unless overridden, the encoder's features of the first required group, for
            both fields.
        """
        stack = views[next(iter(self.requires))]
        count, images = stack.shape[:2]
        flat = tf.reshape(stack, [count * images, *stack.shape[2:]])
        features = tf.cast(self.encoder(flat, training=True), tf.float32)
        unit = tf.math.l2_normalize(features, axis=1)
        unit = tf.reshape(unit, [count, images, unit.shape[1]])
        return Compared(unit, unit)

    def compared_images(self, images: int) -> int:
        """Returns how many images an image is compared with, itself included.

        Args:
            images: in the global batch.

        Returns:
            Unless overridden, the images of the batch. An objective with a bank returns
            the images in the bank.
        """
        return images

    def detect(
        self, compared: Compared, labels: tf.Tensor, *, step: tf.Tensor
    ) -> Detected | None:
        """Returns the views that it takes for false negatives, for an audit.

        It is called eagerly, outside replica context.

        Args:
            compared: the embeddings of b images, from `compared`; each image is
                compared with all.
            labels: int32 [b]; -1 if an image has none.
            step: int64 [], optimizer updates done so far.

        Returns:
            The views; None, unless overridden, if it does not look for false negatives.
        """
        del compared, labels, step
        return None

    def logits(self, images: tf.Tensor) -> tf.Tensor:
        """Classifies images in inference mode, if `classes` is not None.

        Args:
            images: float32 [n, size, size, 3] in [0, 1].

        Returns:
            float32 [n, classes].
        """
        raise TypeError(f"{type(self).__name__} has no classifier")
