"""The DINO objective."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import keras
import tensorflow as tf

from sslkit.api import (
    Backbone,
    Batch,
    NonNegativeInt,
    Objective,
    Outcome,
    PositiveFloat,
    PositiveInt,
    Share,
    checked,
)
from sslkit.nn import DecaySchedule, MomentumTwin, Prototypes, decay_scale
from sslkit.objectives import cross_view_entropy, join_sizes, join_views
from sslkit_dino.head import projection
from sslkit_dino.teaching import Teaching


class DINO(Objective):
    """Predicts, from each view, a momentum teacher's output for the large views.

    Caron et al. 2021 (arXiv:2104.14294, eq. 1 to 4, algorithm 1). With s and t the
    scores of student and teacher for `prototypes` weight-normalised directions, and c
    the centre, a running mean of t over the global batch,

        L = mean over large views u and other views v of
            -sum softmax((t_u - c) / T_t) log softmax(s_v / T_s)

    The teacher gets only the large views. It is not trained, but follows the student.

    Args:
        backbone: makes the encoder, and the teacher's.
        local: small views per image, in the group `local`; 8 or 10 in the paper, 0 for
            only the two large views.
        prototypes: width of the scores.
        hidden: hidden width of the three-layer head before the scores.
        dim: width of the head's output, which has length 1.
        norm: whether the head has batch normalisation; in the paper, it has for
            convolutional networks and not for ViTs.
        student_temperature: T_s.
        teacher_temperature: T_t after its warm-up.
        warmup_temperature: T_t at first.
        warmup_steps: updates over which T_t changes linearly from one to the other.
        centre_decay: share of the centre that each step keeps.
        decay: share of the teacher that each step keeps, at the start of the run.
        decay_schedule: `cosine`, with which it rises to 1, or `constant`.
        freeze_steps: updates for which the last layer keeps its initial values; 1,251
            is an epoch of batches of 1,024.
        name: the layer's name.
    """

    @checked
    def __init__(
        self,
        backbone: Callable[..., Backbone],
        *,
        local: NonNegativeInt = 0,
        prototypes: PositiveInt = 65536,
        hidden: PositiveInt = 2048,
        dim: PositiveInt = 256,
        norm: bool = False,
        student_temperature: PositiveFloat = 0.1,
        teacher_temperature: PositiveFloat = 0.07,
        warmup_temperature: PositiveFloat = 0.04,
        warmup_steps: NonNegativeInt = 37530,
        centre_decay: Share = 0.9,
        decay: Share = 0.996,
        decay_schedule: DecaySchedule = "cosine",
        freeze_steps: NonNegativeInt = 1251,
        name: str = "dino",
    ):
        """Makes the layers; see the class."""
        super().__init__(name=name)
        self._groups = {"instance": 2, **({"local": local} if local else {})}
        self._student_temperature = student_temperature
        self._decay = decay
        self._decay_schedule = decay_schedule
        self._freeze_steps = freeze_steps

        def layers() -> list[keras.layers.Layer]:
            last = Prototypes(count=prototypes, weight_norm=True, name="prototypes")
            head = projection(hidden=hidden, dim=dim, norm=norm)
            return [backbone(name="encoder"), head, last]

        self.encoder, self.projection, self.prototypes = layers()
        self.momentum = MomentumTwin(layers(), name="momentum")
        self.teaching = Teaching(
            centre_decay=centre_decay,
            temperature=teacher_temperature,
            warmup_temperature=warmup_temperature,
            warmup_steps=warmup_steps,
            name="teaching",
        )

    @property
    def requires(self) -> Mapping[str, int]:
        """Two large views, and the small ones if there are any."""
        return self._groups

    @property
    def frozen_steps(self) -> Mapping[str, int]:
        """The last layer is trained after `freeze_steps`."""
        return {"^prototypes/": self._freeze_steps}

    def call(self, batch: Batch, *, step: tf.Tensor) -> Outcome:
        """Implements `Objective.call`; the metrics are those of `Teaching`."""
        features = [
            self.encoder(images, training=True)
            for images in join_sizes(batch.views, self.requires)
        ]
        scores = self.prototypes(self.projection(tf.concat(features, 0), training=True))
        taught = self.momentum(join_views(batch.views, ["instance"]), training=True)
        targets, metrics = self.teaching(taught, step=step)
        width = self.prototypes.count
        loss = cross_view_entropy(
            tf.reshape(targets, [2, -1, width]),
            tf.reshape(scores, [sum(self.requires.values()), -1, width])
            / self._student_temperature,
        )
        return Outcome(loss, metrics)

    def health(self, *, step: int, metrics: Mapping[str, float]) -> dict[str, float]:
        """Measures how far the teacher is from the student."""
        return {"twin_distance": self.momentum.distance(self._online)}

    def after_build(self) -> None:
        """Sets the teacher to a copy of the student."""
        self.momentum.copy(self._online)

    def after_update(self, *, step: tf.Tensor) -> None:
        """Moves the teacher towards the new weights."""
        scale = decay_scale(
            self._decay_schedule, step=step, steps=self.steps, owner=self.name
        )
        self.momentum.follow(self._online, decay=self._decay, scale=scale)

    @property
    def _online(self) -> list[keras.layers.Layer]:
        return [self.encoder, self.projection, self.prototypes]
