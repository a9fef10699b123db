"""The contract between sslkit and its plugins: all that a plugin author reads.

A plugin is a class of one of nine kinds, announced as an entry point in the group
`sslkit.<kind>`. Constructors spell every keyword, because recipes bind them by name,
and do no work: variables appear when the core calls the object symbolically inside
the runner's strategy scope. Their annotations say what each keyword takes, with
`Literal` for choices and `PositiveInt`, `Share`, `Range` and the like for ranges:
recipes are checked against them before anything is imported, and `checked` on the
constructor holds Python callers to them.
"""

from __future__ import annotations

import abc
from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol, runtime_checkable

import sslkit.keras_backend

sslkit.keras_backend.require_tensorflow()  # before Keras is imported

import keras
import tensorflow as tf

from sslkit.arguments import (
    Cosine,
    HalfOpenShare,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    PositiveShare,
    Range,
    Seed,
    Share,
    checked,
)
from sslkit.batch import Batch, ViewGroup, Views
from sslkit.deprecation import renamed
from sslkit.errors import UserError
from sslkit.evaluation import Accuracy, Evaluation, Features, Score, accuracy
from sslkit.optimizer import Moved, Optimizer, Weight
from sslkit.replica import DeviceKind
from sslkit.reporter import Reporter, RunInfo
from sslkit.runner import Runner
from sslkit.source import Source

__all__ = [
    "Accuracy",
    "Augmentation",
    "Backbone",
    "Batch",
    "Compared",
    "Cosine",
    "Detected",
    "DeviceKind",
    "Evaluation",
    "Features",
    "Freezable",
    "HalfOpenShare",
    "Moved",
    "NonNegativeFloat",
    "NonNegativeInt",
    "Objective",
    "Optimizer",
    "Outcome",
    "PositiveFloat",
    "PositiveInt",
    "PositiveShare",
    "Range",
    "Reporter",
    "RunInfo",
    "Runner",
    "Schedule",
    "Score",
    "Seed",
    "Share",
    "Source",
    "UserError",
    "ViewGroup",
    "Views",
    "Weight",
    "accuracy",
    "checked",
    "renamed",
]


class Outcome(NamedTuple):
    """What an objective says of one batch."""

    loss: tf.Tensor
    """float32 [], the mean over this replica's examples; the gradient that is applied
    is the mean of the replicas' gradients."""
    metrics: Mapping[str, tf.Tensor]
    """float32 [] each; averaged over replicas, and over the steps between reports."""


class Compared(NamedTuple):
    """Views of images as a search for false negatives compares them; unit vectors."""

    references: tf.Tensor
    """float [S, b, D], what an image is scored by."""
    candidates: tf.Tensor
    """float [V, b, D], what stands for it among the candidates of others."""


class Detected(NamedTuple):
    """What an objective takes for false negatives, of each of b images."""

    scores: tf.Tensor
    """float [b, V * b], of all views of all images, view-major; the higher, the more
    certain. What is no candidate, such as the image's own views, has the lowest number
    that there is."""
    chosen: tf.Tensor
    """bool [b, V * b], which of them it takes."""
    policy: str
    """How it chooses, in words, e.g. `the 10 highest of those above 0.7`."""


class Backbone(keras.layers.Layer, abc.ABC):
    """An encoder: images to one feature vector each."""

    @property
    @abc.abstractmethod
    def feature_dim(self) -> int:
        """Width of the feature vector; known before any variable exists."""

    @abc.abstractmethod
    def call(self, images: tf.Tensor, *, training: bool) -> tf.Tensor:
        """Encodes images.

        Args:
            images: float32 [n, size, size, 3] in [0, 1].
            training: whether batch normalisation uses (and tracks) batch statistics.
                What drops (dropout, stochastic depth) does so in training alone, and
                draws by `sslkit.randomness.draw`.

        Returns:
            float32 [n, feature_dim].
        """

    def describe(self) -> str:
        """Returns what it is, for the log and the model card; called once it is built.

        A backbone that chooses something by the size of the images says what.
        """
        return f"{type(self).__name__}, {self.feature_dim} features"


@runtime_checkable
class Freezable(Protocol):
    """A backbone that can be trained in part."""

    def freeze(self, *, through: int) -> None:
        """Takes blocks out of training.

        Args:
            through: the last of them, counted from the images: 0 is what comes before
                the first block, the stem.
        """


class Augmentation(abc.ABC):
    """Makes the views of an image, part on the host and part on the device.

    Both parts are pure functions of their seeds: the same seed gives the same views
    on any machine, host or number of replicas.
    """

    @property
    @abc.abstractmethod
    def groups(self) -> Mapping[str, ViewGroup]:
        """The groups it makes, e.g. `{"instance": (2, 224), "support": (8, 224)}`."""

    def on(self, device: DeviceKind) -> Augmentation:
        """Returns this augmentation for a training step on one kind of device.

        The core asks once a run, before any view is made, and takes both parts from
        what is returned. An augmentation that divides its work between the host and
        the device by what the device does well, or that computes the same in another
        way there, returns one of its kind that does; this one stays as it is. The
        views are the same on all kinds, but for rounding that the author states.

        Args:
            device: what all replicas of the step run on. `example` runs on a CPU
                whatever it is.

        Returns:
            An augmentation of the same groups; itself unless overridden.
        """
        del device
        return self

    def describe(self) -> str:
        """Returns where views are finished, for the log: `host` or `device`.

        More words may follow.
        """
        own = type(self).batch is not Augmentation.batch
        return "device" if own else "host"

    @abc.abstractmethod
    def example(self, image: tf.Tensor, seed: tf.Tensor) -> dict[str, tf.Tensor]:
        """Makes the views of one image, inside tf.data on the host.

        Args:
            image: uint8 [height, width, 3], any size.
            seed: int32 [2], a function of (run seed, epoch, example index); every view
                folds its own number into it.

        Returns:
            Group -> uint8 [count, size, size, 3], static shapes.
        """

    def batch(
        self, views: Views, *, step_seed: tf.Tensor, example_seeds: tf.Tensor
    ) -> Mapping[str, tf.Tensor]:
        """Finishes the views of a batch on the device, in replica context.

        The default converts uint8 to float32 in [0, 1].

        Args:
            views: group -> uint8 [count, batch, size, size, 3].
            step_seed: int32 [2], a function of (run seed, step); the same on all
                replicas. For what is drawn once for the whole global batch.
            example_seeds: int32 [batch, 2], the seeds `example` got. For what is drawn
                for each image.

        Returns:
            Group -> float32 in [0, 1], the shapes of `views`. Of `Views`, as
            `views.map` makes them, objectives join groups without a copy.
        """
        del step_seed, example_seeds
        return views.map(lambda stack: tf.image.convert_image_dtype(stack, tf.float32))


class Objective(keras.layers.Layer, abc.ABC):
    """What is minimised, and everything that is needed to compute it.

    An objective owns its encoder, heads, momentum twin, memory bank and prototypes as
    named sub-layers and weights. The layer that is evaluated, exported and restored
    into other objectives is called `encoder`.

    `trainable_variables` (Keras) is what the optimizer moves. State is
    `add_weight(..., trainable=False, aggregation="only_first_replica")` and must come
    out equal on all replicas.
    """

    encoder: Backbone
    classes: int | None = None
    """Columns of `logits`, or None where the objective has no classifier."""
    needs_labels: bool = False
    """Whether it reads `Batch.label` without having a classifier."""
    mean_over_examples: bool = False
    """Whether the loss is a mean over images of what each gives by itself, so that
    `train.accumulate` may take the batch in parts. Batch normalisation may still look
    at the part. False where images are compared with each other, as negatives or by
    their correlations, and where `call` writes a bank."""
    steps: int | None = None
    """Updates of the whole run, for what is scheduled over it; the core sets it before
    the objective is built."""
    examples: int | None = None
    """Examples in the training split, for what is kept for each of them
    (`Batch.index`) or scheduled by epochs; the core sets it before the objective is
    built."""

    def __init__(self, *, name: str):
        """Makes an empty objective.

        Args:
            name: the layer's name.
        """
        # Under a half-precision policy Keras would round the batch, its weights too,
        # before `call` sees it. The layers inside cast what they take.
        super().__init__(name=name, autocast=False)

    def build(self, *shapes: Any, **named: Any) -> None:
        """Makes the objective's own state, by `self.add_weight`; called once.

        The layers inside are built when `call` first runs. That this method exists
        spares Keras a call of its own, only to find out what that call builds. State
        is set in `call` or `after_update` by `sslkit.replica.assign`, with values that
        are equal on all replicas, such as a centre that follows the global batch
        (`autocast=False` keeps it float32 where layers compute in bfloat16):

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
            *shapes: what Keras tells of the batch; nobody needs it.
            **named: likewise.
        """
        self.built = True

    @property
    @abc.abstractmethod
    def requires(self) -> Mapping[str, int]:
        """View groups the objective consumes and how many views of each."""

    @property
    def frozen_steps(self) -> Mapping[str, int]:
        """Which weights keep their values at first, and for how many updates.

        Patterns, searched in the paths of weights, -> updates of the run, e.g.
        `{"^prototypes/": 1251}`. Until then the optimizer takes their gradients for
        zero and their values and slots stay. Afterwards it counts their updates from 0.
        A pattern that matches no weight is an error.
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

    @abc.abstractmethod
    def call(self, batch: Batch, *, step: tf.Tensor) -> Outcome:
        """Runs forward in training mode, in replica context.

        Args:
            batch: this replica's share of the global batch.
            step: int64 [], optimizer updates done so far.
        """

    def after_build(self) -> None:
        """Runs once, eagerly and outside replica context, when the variables exist.

        The place to start a momentum twin as a copy. A checkpoint is restored after it.
        """

    def after_update(self, *, step: tf.Tensor) -> None:
        """Runs once after each optimizer update, in replica context.

        The place where a momentum twin follows the weights.

        Args:
            step: int64 [], the step whose update was just applied.
        """
        del step

    def health(self, *, step: int, metrics: Mapping[str, float]) -> dict[str, float]:
        """Says how what it owns beside its encoder is doing, in numbers.

        Called now and then between two updates, eagerly and outside replica context, by
        one process. Reported as `health/<name>`. Some names raise an alarm, see
        `sslkit.evaluate.alarms`: those of `MemoryBank.health`, and
        `detected_share`, how much a detector of false negatives takes of what it may.

        Args:
            step: updates done.
            metrics: those of the last of them, as `call` returned them.

        Returns:
            Name -> number; nothing unless overridden.
        """
        del step, metrics
        return {}

    def compared(self, views: Views) -> Compared:
        """Embeds views as a search for false negatives compares images, for an audit.

        In training mode, as `call` does it: moving statistics may be far behind, early
        in a run. State that moves by it is put back by who calls.

        Args:
            views: group -> [count, b, size, size, 3], as `call` gets them.

        Returns:
            Unless overridden, the encoder's features of the first group that is
            required, on both sides.
        """
        stack = views[next(iter(self.requires))]
        count, images = stack.shape[:2]
        flat = tf.reshape(stack, [count * images, *stack.shape[2:]])
        features = tf.cast(self.encoder(flat, training=True), tf.float32)
        unit = tf.math.l2_normalize(features, axis=1)
        unit = tf.reshape(unit, [count, images, unit.shape[1]])
        return Compared(unit, unit)

    def compared_images(self, images: int) -> int:
        """Returns how many images an image is compared with in a step, itself included.

        Args:
            images: in the global batch.

        Returns:
            Those of the batch, unless overridden; with a bank, those that it holds.
        """
        return images

    def detect(
        self, compared: Compared, labels: tf.Tensor, *, step: tf.Tensor
    ) -> Detected | None:
        """Says which views of other images it takes for false negatives, for an audit.

        Eagerly, outside replica context.

        Args:
            compared: of b images, as `compared` returns them; each image is compared
                with all.
            labels: int32 [b]; -1 where an image has none.
            step: int64 [], optimizer updates done so far.

        Returns:
            None unless overridden: it does not look for any.
        """
        del compared, labels, step
        return None

    def logits(self, images: tf.Tensor) -> tf.Tensor:
        """Classifies images in inference mode, where `classes` is not None.

        Args:
            images: float32 [n, size, size, 3] in [0, 1].

        Returns:
            float32 [n, classes].
        """
        raise TypeError(f"{type(self).__name__} has no classifier")


class Schedule(abc.ABC):
    """The learning rate as a function of the step."""

    @abc.abstractmethod
    def rate(
        self, step: tf.Tensor, *, steps: int, batch_size: int, examples: int
    ) -> tf.Tensor:
        """Returns the learning rate, float32 [].

        Args:
            step: int64 [], optimizer updates done so far.
            steps: updates of the whole run.
            batch_size: the global batch.
            examples: examples in the training split, so that schedules count in
                examples seen and not in steps.
        """

    def describe(self, *, steps: int, batch_size: int, examples: int) -> str:
        """Returns what the rate will do in a run, for the log.

        Args:
            steps: updates of the whole run.
            batch_size: the global batch.
            examples: examples in the training split.
        """
        places = {"at first": 0, "halfway": steps // 2, "at last": steps - 1}
        rates = {
            place: self.rate(
                tf.constant(step, tf.int64),
                steps=steps,
                batch_size=batch_size,
                examples=examples,
            )
            for place, step in places.items()
        }
        return ", ".join(f"{float(rate):.4g} {place}" for place, rate in rates.items())
