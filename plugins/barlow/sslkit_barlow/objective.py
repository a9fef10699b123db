"""The Barlow Twins objective."""

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
    PositiveFloat,
    PositiveInt,
    UserError,
    checked,
)
from sslkit.nn import BatchNorm, MLPHead
from sslkit.objectives import each_view


class BarlowTwins(Objective):
    """Makes the cross-correlation of two views' embeddings the identity.

    Zbontar et al. 2021 (arXiv:2103.03230, eq. 1 and 2). Each dimension is normalised
    over the global batch, and with C the correlations between the two views,

        L = scale * (sum over i of (1 - C_ii)^2
                     + redundancy * sum over i and j != i of C_ij^2).

    Args:
        backbone: makes the encoder.
        layers: depth of the expander.
        dim: width of each of its layers.
        redundancy: weight of the terms off the diagonal, the paper's lambda.
        scale: factor of the whole loss; the published code has 0.024 in an earlier
            version and 1 now, each with a suitable learning rate.
        name: the layer's name.
    """

    @checked
    def __init__(
        self,
        backbone: Callable[..., Backbone],
        *,
        layers: PositiveInt = 3,
        dim: PositiveInt = 8192,
        redundancy: NonNegativeFloat = 0.0051,
        scale: PositiveFloat = 1.0,
        name: str = "barlow",
    ):
        """Makes the layers; see the class."""
        super().__init__(name=name)
        self._redundancy = redundancy
        self._scale = scale
        self.encoder = backbone(name="encoder")
        self.projection = MLPHead(layers=layers, hidden=dim, dim=dim, name="projection")
        self.norm = BatchNorm(center=False, scale=False, name="norm")

    @property
    def requires(self) -> Mapping[str, int]:
        """Two views."""
        return {"instance": 2}

    def check_batch(self, images: int) -> None:
        """Implements `Objective.check_batch`."""
        if images < 2:
            raise UserError(
                f"{self.name}: the global batch is {images} image, and correlations "
                "need at least 2. Raise train.batch_size."
            )

    def call(self, batch: Batch, *, step: tf.Tensor) -> Outcome:
        """Implements `Objective.call`.

        Metrics: `on_diagonal` and `off_diagonal`, the two sums before their weights.
        """
        first, second = (
            self.norm(
                self.projection(self.encoder(view, training=True), training=True),
                training=True,
            )
            for view in each_view(batch.views, ["instance"])
        )
        images = tf.cast(first.shape[0], first.dtype)
        # The mean of the replicas' means is the mean over the global batch.
        correlations = replica.mean(tf.matmul(first, second, transpose_a=True) / images)
        diagonal = tf.linalg.diag_part(correlations)
        on = tf.reduce_sum(tf.square(1 - diagonal))
        off = tf.reduce_sum(tf.square(correlations)) - tf.reduce_sum(
            tf.square(diagonal)
        )
        return Outcome(
            self._scale * (on + self._redundancy * off),
            {"on_diagonal": on, "off_diagonal": off},
        )
