"""The VICReg objective."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import tensorflow as tf

from sslkit import replica
from sslkit.api import (
    Backbone,
    Batch,
    NonNegativeFloat,
    Objective,
    Outcome,
    PositiveInt,
    UserError,
    checked,
)
from sslkit.nn import MLPHead
from sslkit.objectives import each_view


class VICReg(Objective):
    """Variance, invariance and covariance of two views' embeddings.

    Bardes, Ponce, LeCun 2022 (arXiv:2105.04906, eq. 1 to 6). With Z and Z' the
    embeddings of the global batch, B images of D dimensions,

        L = invariance * mean over images and dimensions of (Z - Z')^2
            + variance * (v(Z) + v(Z')) / 2
            + covariance * (c(Z) + c(Z')),

    where v is the mean over dimensions of max(0, 1 - sqrt(Var + 1e-4)), and c the sum
    of the squared covariances between different dimensions, divided by D. Variances and
    covariances are divided by B - 1. As in the published code, v is halved and the
    invariance is a mean over dimensions.

    Args:
        backbone: makes the encoder.
        layers: depth of the expander.
        dim: width of each of its layers.
        invariance: weight of the first term.
        variance: weight of the second.
        covariance: weight of the third.
        name: the layer's name.
    """

    @checked
    def __init__(
        self,
        backbone: Callable[..., Backbone],
        *,
        layers: PositiveInt = 3,
        dim: PositiveInt = 8192,
        invariance: NonNegativeFloat = 25.0,
        variance: NonNegativeFloat = 25.0,
        covariance: NonNegativeFloat = 1.0,
        name: str = "vicreg",
    ):
        """Makes the layers; see the class."""
        super().__init__(name=name)
        self._weights = invariance, variance, covariance
        self.encoder = backbone(name="encoder")
        self.projection = MLPHead(
            layers=layers, hidden=dim, dim=dim, bias=True, name="projection"
        )

    @property
    def requires(self) -> Mapping[str, int]:
        """Two views."""
        return {"instance": 2}

    def check_batch(self, images: int) -> None:
        """Implements `Objective.check_batch`."""
        if images < 2:
            raise UserError(
                f"{self.name}: the global batch is {images} image, and variances need "
                "at least 2. Raise train.batch_size."
            )

    def call(self, batch: Batch, *, step: tf.Tensor) -> Outcome:
        """Implements `Objective.call`.

        Metrics: `invariance`, `variance` and `covariance`, before their weights.
        """
        first, second = (
            self.projection(self.encoder(view, training=True), training=True)
            for view in each_view(batch.views, ["instance"])
        )
        invariance = tf.reduce_mean(tf.square(first - second))
        # Over the global batch: the loss is the same on all replicas.
        terms = [_spread(replica.gather(view)) for view in (first, second)]
        variance = (terms[0][0] + terms[1][0]) / 2
        covariance = terms[0][1] + terms[1][1]
        found = invariance, variance, covariance
        loss = tf.add_n(
            [weight * term for weight, term in zip(self._weights, found, strict=True)]
        )
        names = ("invariance", "variance", "covariance")
        return Outcome(loss, dict(zip(names, found, strict=True)))


def _spread(z: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns how far variances are below 1, and the squared covariances.

    Args:
        z: [B, D].

    Returns:
        v and c of the class's docstring, [] each.
    """
    images, dim = z.shape
    centred = z - tf.reduce_mean(z, axis=0)
    covariances = tf.matmul(centred, centred, transpose_a=True) / (images - 1)
    variances = tf.linalg.diag_part(covariances)
    short = tf.reduce_mean(tf.nn.relu(1 - tf.sqrt(variances + 1e-4)))
    squares = tf.reduce_sum(tf.square(covariances)) - tf.reduce_sum(
        tf.square(variances)
    )
    return short, squares / dim
