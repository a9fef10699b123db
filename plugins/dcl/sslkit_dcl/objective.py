"""The decoupled contrastive objective."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import tensorflow as tf

from sslkit import replica
from sslkit.api import (
    Backbone,
    Batch,
    Objective,
    Outcome,
    PositiveFloat,
    PositiveInt,
    checked,
)
from sslkit.nn import ProjectionHead
from sslkit.objectives import (
    check_contrast,
    gather_view_major,
    join_views,
    own_columns,
    unit_views,
)

_OUT = -1e9  # of which the exponential is 0


class DCL(Objective):
    """SimCLR without the positive pair in the denominator.

    Yeh et al. 2022 (arXiv:2110.06848, eq. 5 and 6). With z' the other view of z and N
    the views of all other images of the global batch, the loss of a view is

        -w z . z' / t + log of the sum over n in N of exp(z . n / t),

    summed over both views of an image and averaged over images. With `sigma` the weight
    is 2 - exp(z . z' / sigma) / mean of exp(z . z' / sigma) over the global batch
    (DCLW, eq. 6), through which no gradient flows; without `sigma` it is 1.

    Args:
        backbone: makes the encoder.
        temperature: divides cosine similarities.
        sigma: of the weight; 0.5 in the paper. None for no weight.
        projection_layers: depth of the projection head.
        dim: width of its output.
        name: the layer's name.
    """

    @checked
    def __init__(
        self,
        backbone: Callable[..., Backbone],
        *,
        temperature: PositiveFloat = 0.1,
        sigma: PositiveFloat | None = None,
        projection_layers: PositiveInt = 2,
        dim: PositiveInt = 128,
        name: str = "dcl",
    ):
        """Makes the layers; see the class."""
        super().__init__(name=name)
        self._temperature = temperature
        self._sigma = sigma
        self.encoder = backbone(name="encoder")
        self.projection = ProjectionHead(
            layers=projection_layers, dim=dim, name="projection"
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

        Metrics: `positive_cosine`, the mean over images.
        """
        images = batch.label.shape[0]
        views = join_views(batch.views, ["instance"])
        projected = self.projection(self.encoder(views, training=True), training=True)
        anchors = unit_views(projected, views=2)
        candidates = gather_view_major(anchors)
        logits = tf.einsum("vid,cd->vic", anchors, candidates) / self._temperature
        # Both views of the image itself are left out of the denominator.
        total = candidates.shape[0] // 2
        image = own_columns(views=1, batch=images)[0]
        itself = image[:, tf.newaxis] == tf.range(2 * total) % total
        masked = tf.where(itself, tf.constant(_OUT, logits.dtype), logits)
        cosine = tf.reduce_sum(anchors[0] * anchors[1], axis=1)
        losses = tf.reduce_sum(tf.reduce_logsumexp(masked, axis=2), axis=0)
        losses -= 2 * self._weight(cosine) * cosine / self._temperature
        metrics = {"positive_cosine": tf.reduce_mean(cosine)}
        return Outcome(tf.reduce_mean(losses), metrics)

    def _weight(self, cosine: tf.Tensor) -> tf.Tensor:
        if self._sigma is None:
            return tf.ones_like(cosine)
        grown = tf.exp(tf.stop_gradient(cosine) / self._sigma)
        return 2 - grown / replica.mean(tf.reduce_mean(grown))
