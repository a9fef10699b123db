"""The SimCLR objective."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated

import tensorflow as tf

from sslkit.api import (
    Backbone,
    Batch,
    Compared,
    NonNegativeInt,
    Objective,
    Outcome,
    PositiveFloat,
    PositiveInt,
    Range,
    Views,
    checked,
)
from sslkit.nn import ProjectionHead
from sslkit.objectives import (
    block_size,
    check_contrast,
    gather_view_major,
    join_views,
    multi_view_nt_xent,
    unit_views,
)


class SimCLR(Objective):
    """Contrasts the views of an image with all other images of the global batch.

    Chen et al. 2020 (arXiv:2002.05709, eq. 1); with three projection layers it is the
    pretraining of SimCLR v2 (arXiv:2006.10029).

    Args:
        backbone: makes the encoder.
        views: views per image; 2 in the paper. With more, all other views of the image
            are positives.
        temperature: divides cosine similarities; positive.
        projection_layers: depth of the projection head: 2 in SimCLR, 3 in v2.
        projection_dim: width of the embedding that is contrasted.
        block: candidates handled at once, to avoid a full similarity matrix; 0 for the
            full matrix, None to decide by its size (see
            `sslkit.objectives.block_size`).
        name: the layer's name.
    """

    @checked
    def __init__(
        self,
        backbone: Callable[..., Backbone],
        *,
        views: Annotated[int, Range(2)] = 2,
        temperature: PositiveFloat = 0.1,
        projection_layers: PositiveInt = 3,
        projection_dim: PositiveInt = 128,
        block: NonNegativeInt | None = None,
        name: str = "simclr",
    ):
        """Keeps the options; see the class."""
        super().__init__(name=name)
        self._views = views
        self._block = block
        self._temperature = temperature
        self.encoder = backbone(name="encoder")
        self.projection = ProjectionHead(
            layers=projection_layers, dim=projection_dim, name="projection"
        )

    @property
    def requires(self) -> Mapping[str, int]:
        """The views that are contrasted."""
        return {"instance": self._views}

    def check_batch(self, images: int) -> None:
        """Implements `Objective.check_batch`."""
        check_contrast(self.name, images)

    def call(self, batch: Batch, *, step: tf.Tensor) -> Outcome:
        """Implements `Objective.call`; `positive_cosine` is the mean over pairs."""
        images = batch.label.shape[0]
        views = join_views(batch.views, ["instance"])
        features = self.encoder(views, training=True)
        projected = self.projection(features, training=True)
        anchors = unit_views(projected, views=self._views)
        candidates = gather_view_major(anchors)
        block = block_size(
            rows=self._views * images, columns=candidates.shape[0], block=self._block
        )
        loss = multi_view_nt_xent(
            anchors, candidates, temperature=self._temperature, block=block
        )
        cosine = tf.reduce_mean(tf.reduce_sum(anchors[0] * anchors[1], axis=1))
        return Outcome(loss, {"positive_cosine": cosine})

    def compared(self, views: Views) -> Compared:
        """Implements `Objective.compared`: the embeddings that the loss compares."""
        features = self.encoder(join_views(views, ["instance"]), training=True)
        projected = self.projection(features, training=True)
        unit = unit_views(projected, views=self._views)
        return Compared(unit, unit)
