"""The objective of MoCo v3."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import tensorflow as tf

from sslkit.api import (
    Backbone,
    Batch,
    Objective,
    Outcome,
    PositiveFloat,
    PositiveInt,
    Share,
    checked,
)
from sslkit.nn import DecaySchedule, MLPHead, MomentumTwin, decay_scale
from sslkit.objectives import check_contrast, each_view, info_nce


class MoCoV3(Objective):
    """Predicts the twin's view of an image among those of the global batch.

    Chen, Xie, He 2021 (arXiv:2104.02057, eq. 1 and algorithm 1). With q the prediction
    of one view and k the twin's projection of another, of length 1,

        L = 2 t * (InfoNCE(q1, k2) + InfoNCE(q2, k1)).

    Args:
        backbone: makes the encoder, and its twin.
        projection_layers: depth of the projection head: 2 for a ResNet, 3 for a ViT.
        hidden: hidden width of the heads.
        dim: width of prediction and key.
        norm_prediction: whether the predictor ends with a batch normalisation without
            weights, as for a ViT.
        decay: share of the twin that each step keeps, at the start of the run.
        decay_schedule: `cosine`, with which it rises to 1, or `constant`.
        temperature: divides cosine similarities: 1.0 for a ResNet, 0.2 for a ViT.
        name: the layer's name.
    """

    @checked
    def __init__(
        self,
        backbone: Callable[..., Backbone],
        *,
        projection_layers: PositiveInt = 2,
        hidden: PositiveInt = 4096,
        dim: PositiveInt = 256,
        norm_prediction: bool = False,
        decay: Share = 0.99,
        decay_schedule: DecaySchedule = "cosine",
        temperature: PositiveFloat = 1.0,
        name: str = "moco_v3",
    ):
        """Makes the layers; see the class."""
        super().__init__(name=name)
        self._decay = decay
        self._decay_schedule = decay_schedule
        self._temperature = temperature

        def projection() -> MLPHead:
            return MLPHead(
                layers=projection_layers,
                hidden=hidden,
                dim=dim,
                last_norm="plain",
                name="projection",
            )

        self.encoder = backbone(name="encoder")
        self.projection = projection()
        self.predictor = MLPHead(
            hidden=hidden,
            dim=dim,
            last_norm="plain" if norm_prediction else "none",
            name="predictor",
        )
        self.momentum = MomentumTwin(
            [backbone(name="encoder"), projection()], name="momentum"
        )

    @property
    def requires(self) -> Mapping[str, int]:
        """Two views."""
        return {"instance": 2}

    def check_batch(self, images: int) -> None:
        """Implements `Objective.check_batch`."""
        check_contrast(self.name, images)

    def call(self, batch: Batch, *, step: tf.Tensor) -> Outcome:
        """Implements `Objective.call`.

        Metrics: `positive_cosine`, the mean of q . k.
        """
        queries, keys = [], []
        for view in each_view(batch.views, ["instance"]):
            projected = self.projection(
                self.encoder(view, training=True), training=True
            )
            predicted = self.predictor(projected, training=True)
            queries.append(tf.math.l2_normalize(predicted, axis=1))
            keys.append(
                tf.math.l2_normalize(self.momentum(view, training=True), axis=1)
            )
        pairs = list(zip(queries, reversed(keys), strict=True))
        losses = [info_nce(q, k, temperature=self._temperature) for q, k in pairs]
        cosines = [tf.reduce_mean(tf.reduce_sum(q * k, axis=1)) for q, k in pairs]
        return Outcome(
            2 * self._temperature * tf.add_n(losses),
            {"positive_cosine": tf.add_n(cosines) / 2},
        )

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
