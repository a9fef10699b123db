"""The SupCon objective."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated

import tensorflow as tf

from sslkit import replica
from sslkit.api import (
    Backbone,
    Batch,
    Objective,
    Outcome,
    PositiveFloat,
    PositiveInt,
    Range,
    checked,
)
from sslkit.nn import MLPHead
from sslkit.objectives import (
    check_contrast,
    gather_labels,
    gather_view_major,
    join_views,
    own_columns,
    unit_views,
)

_OUT = -1e9  # of which the exponential is 0


class SupCon(Objective):
    """Attracts the views of all images of a class.

    Khosla et al. 2020 (arXiv:2004.11362, eq. 2, L_out). With P the views of the same
    image or class in the global batch, except the anchor itself, the loss of an anchor
    is

        t / base * mean over p in P of -log softmax over a != i of (z . z_a / t) [p],

    averaged over anchors. For an image without a label, P has only its own other views.

    Args:
        backbone: makes the encoder.
        views: views per image; 2 in the paper.
        temperature: divides cosine similarities, the paper's tau.
        base_temperature: the loss is multiplied by temperature / base_temperature, as
            in the published code, where both are 0.07 on ImageNet.
        projection_layers: depth of the projection head.
        dim: width of its output.
        name: the layer's name.
    """

    needs_labels = True

    @checked
    def __init__(
        self,
        backbone: Callable[..., Backbone],
        *,
        views: Annotated[int, Range(2)] = 2,
        temperature: PositiveFloat = 0.07,
        base_temperature: PositiveFloat = 0.07,
        projection_layers: PositiveInt = 2,
        dim: PositiveInt = 128,
        name: str = "supcon",
    ):
        """Makes the layers; see the class."""
        super().__init__(name=name)
        self._views = views
        self._temperature = temperature
        self._scale = temperature / base_temperature
        self.encoder = backbone(name="encoder")
        self.projection = MLPHead(
            layers=projection_layers,
            dim=dim,
            norm=False,
            bias=True,
            last_bias=True,
            unit=True,
            name="projection",
        )

    @property
    def requires(self) -> Mapping[str, int]:
        """The views that are contrasted."""
        return {"instance": self._views}

    def check_batch(self, images: int) -> None:
        """Implements `Objective.check_batch`."""
        check_contrast(self.name, images)

    def call(self, batch: Batch, *, step: tf.Tensor) -> Outcome:
        """Implements `Objective.call`.

        Metrics: `positives`, the mean number of positives per anchor.
        """
        views = join_views(batch.views, ["instance"])
        projected = self.projection(self.encoder(views, training=True), training=True)
        anchors = unit_views(projected, views=self._views)
        candidates = gather_view_major(anchors)
        own, positive = self._masks(batch.label)
        positive = tf.cast(positive, anchors.dtype)
        rows = tf.reshape(anchors, [-1, anchors.shape[2]])
        logits = tf.matmul(rows, candidates, transpose_b=True) / self._temperature
        # An anchor is not compared with itself.
        denominator = tf.reduce_logsumexp(
            tf.where(own, tf.constant(_OUT, logits.dtype), logits), axis=1
        )
        count = tf.reduce_sum(positive, axis=1)
        losses = denominator - tf.reduce_sum(positive * logits, axis=1) / count
        return Outcome(
            self._scale * tf.reduce_mean(losses), {"positives": tf.reduce_mean(count)}
        )

    def _masks(self, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns the masks of each anchor itself, and of its positives.

        Returns:
            bool [V * b, V * B] each.
        """
        images = labels.shape[0]
        total = images * replica.count()
        mine = tf.reshape(own_columns(views=self._views, batch=images), [-1])
        columns = tf.range(self._views * total)
        own = mine[:, tf.newaxis] == columns
        alike = labels[:, tf.newaxis] == gather_labels(labels)
        alike &= labels[:, tf.newaxis] >= 0
        same_image = (mine % total)[:, tf.newaxis] == columns % total
        alike = tf.tile(alike, [self._views, self._views])
        return own, (alike | same_image) & ~own
