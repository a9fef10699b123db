"""The SimSiam objective."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import tensorflow as tf

from sslkit.api import Backbone, Batch, Objective, Outcome, PositiveInt, checked
from sslkit.nn import MLPHead
from sslkit.objectives import each_view


class SimSiam(Objective):
    """Predicts one view's projection from another's, without negatives or a twin.

    Chen and He 2021 (arXiv:2011.10566, eq. 1 and 2). With p the prediction of one view
    and z the projection of the other, through which no gradient flows,

        L = -1/2 cos(p1, z2) - 1/2 cos(p2, z1),

    which is between 1 and -1. As published, batch normalisation takes one view at a
    time; the projection head ends with one without weights; and there is none after the
    prediction.

    Args:
        backbone: makes the encoder.
        projection_layers: depth of the projection head: 3, and 2 for CIFAR-10.
        hidden: hidden width of the predictor.
        dim: width of all layers of the projection head, and of the prediction.
        name: the layer's name.
    """

    mean_over_examples = True

    @checked
    def __init__(
        self,
        backbone: Callable[..., Backbone],
        *,
        projection_layers: PositiveInt = 3,
        hidden: PositiveInt = 512,
        dim: PositiveInt = 2048,
        name: str = "simsiam",
    ):
        """Makes the layers; see the class."""
        super().__init__(name=name)
        self.encoder = backbone(name="encoder")
        self.projection = MLPHead(
            layers=projection_layers,
            hidden=dim,
            dim=dim,
            last_norm="plain",
            name="projection",
        )
        self.predictor = MLPHead(
            hidden=hidden, dim=dim, last_bias=True, name="predictor"
        )

    @property
    def requires(self) -> Mapping[str, int]:
        """Two views."""
        return {"instance": 2}

    def call(self, batch: Batch, *, step: tf.Tensor) -> Outcome:
        """Implements `Objective.call`.

        Metrics: `spread`, the standard deviation of the components of z at length 1,
        times the root of their number: 1 if directions are uniform, 0 if all images
        have the same one.
        """
        projected, predicted = [], []
        for view in each_view(batch.views, ["instance"]):
            features = self.encoder(view, training=True)
            projected.append(self.projection(features, training=True))
            predicted.append(self.predictor(projected[-1], training=True))
        z = tf.math.l2_normalize(tf.stop_gradient(tf.stack(projected)), axis=2)
        p = tf.math.l2_normalize(tf.stack(predicted), axis=2)
        # View 0 is compared with view 1, and view 1 with view 0.
        cosine = tf.reduce_sum(p * z[::-1], axis=2)
        deviation = tf.reduce_mean(tf.math.reduce_std(z, axis=1))
        spread = deviation * tf.cast(z.shape[2], z.dtype) ** 0.5
        return Outcome(-tf.reduce_mean(cosine), {"spread": spread})
