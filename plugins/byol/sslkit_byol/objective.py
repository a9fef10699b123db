"""The BYOL objective."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated

import tensorflow as tf

from sslkit.api import (
    Backbone,
    Batch,
    Objective,
    Outcome,
    PositiveInt,
    Range,
    Share,
    checked,
)
from sslkit.nn import DecaySchedule, MLPHead, MomentumTwin, decay_scale
from sslkit.objectives import each_view


class BYOL(Objective):
    """Predicts, from one view, a momentum twin's projection of another view.

    Grill et al. 2020 (arXiv:2006.07733). With q the prediction of one view and z' the
    twin's projection of another, both of length 1, the loss of an image is

        2 - 2 <q, z'>,

    (eq. 2), summed over both orders of its two views. With more views, it is averaged
    over the other views of each view. There are no negatives, so only batch
    normalisation depends on the other images of the batch; as published, it takes one
    view at a time.

    Args:
        backbone: makes the encoder, and its twin.
        views: views per image; 2 in the paper.
        hidden: hidden width of the projection head and of the predictor.
        dim: width of projection and prediction.
        decay: share of the twin that each step keeps, at the start of the run.
        decay_schedule: `cosine`, as published, with which it rises to 1 at the end of
            the run; or `constant`.
        name: the layer's name.
    """

    mean_over_examples = True

    @checked
    def __init__(
        self,
        backbone: Callable[..., Backbone],
        *,
        views: Annotated[int, Range(2)] = 2,
        hidden: PositiveInt = 4096,
        dim: PositiveInt = 256,
        decay: Share = 0.996,
        decay_schedule: DecaySchedule = "cosine",
        name: str = "byol",
    ):
        """Makes the layers; see the class."""
        super().__init__(name=name)
        self._views = views
        self._decay = decay
        self._decay_schedule = decay_schedule

        def head(name: str) -> MLPHead:
            return MLPHead(hidden=hidden, dim=dim, bias=True, name=name)

        self.encoder = backbone(name="encoder")
        self.projection = head("projection")
        self.predictor = head("predictor")
        self.momentum = MomentumTwin(
            [backbone(name="encoder"), head("projection")], name="momentum"
        )

    @property
    def requires(self) -> Mapping[str, int]:
        """The views that are compared."""
        return {"instance": self._views}

    def call(self, batch: Batch, *, step: tf.Tensor) -> Outcome:
        """Implements `Objective.call`.

        Metrics: `positive_cosine`, the mean of <q, z'> over pairs of views.
        """
        predictions, targets = [], []
        for view in each_view(batch.views, ["instance"]):
            projected = self.projection(
                self.encoder(view, training=True), training=True
            )
            predictions.append(self.predictor(projected, training=True))
            targets.append(self.momentum(view, training=True))
        cosine = _cosine_to_other_views(_unit(predictions), _unit(targets))
        return Outcome(self._views * (2 - 2 * cosine), {"positive_cosine": cosine})

    def health(self, *, step: int, metrics: Mapping[str, float]) -> dict[str, float]:
        """Measures how far the twin is from the online layers."""
        return {
            "twin_distance": self.momentum.distance([self.encoder, self.projection])
        }

    def after_build(self) -> None:
        """Sets the twin to a copy of the online layers."""
        self.momentum.copy([self.encoder, self.projection])

    def after_update(self, *, step: tf.Tensor) -> None:
        """Moves the twin towards the new weights."""
        scale = decay_scale(
            self._decay_schedule, step=step, steps=self.steps, owner=self.name
        )
        self.momentum.follow(
            [self.encoder, self.projection], decay=self._decay, scale=scale
        )


def _unit(views: list[tf.Tensor]) -> tf.Tensor:
    """Returns rows of length 1, [V, b, D]."""
    return tf.math.l2_normalize(tf.stack(views), axis=2)


def _cosine_to_other_views(predictions: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
    """Returns the mean cosine over images and ordered pairs of different views, [].

    Args:
        predictions: [V, b, D], rows of length 1.
        targets: likewise.
    """
    views = predictions.shape[0]
    # The sum over all pairs is one product of sums; pairs of a view with itself are
    # subtracted.
    everything = tf.reduce_sum(predictions, 0) * tf.reduce_sum(targets, 0)
    own = tf.reduce_sum(predictions * targets, 0)
    return tf.reduce_mean(tf.reduce_sum(everything - own, 1)) / (views * (views - 1))
