"""The SwAV objective."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import tensorflow as tf

from sslkit.api import (
    Backbone,
    Batch,
    NonNegativeInt,
    Objective,
    Outcome,
    PositiveFloat,
    PositiveInt,
    checked,
)
from sslkit.nn import MLPHead, Prototypes
from sslkit.objectives import (
    check_contrast,
    cross_view_entropy,
    join_sizes,
    unit_views,
)
from sslkit_swav.codes import Codes


class SwAV(Objective):
    """Predicts, from one view, the prototypes that another is assigned to.

    Caron et al. 2020 (arXiv:2006.09882, eq. 1 to 5 and sec. 3.2). With z the embedding
    of a view and C the prototypes, all of length 1, the codes q of a large view are
    what `sinkhorn` makes of z'C over the global batch, and

        L = mean over large views t and other views v of -sum q_t log softmax(z_v'C / T)

    No gradient passes the codes. Prototypes are brought back to length 1 after each
    update, and stay as they start for the first of them.

    Args:
        backbone: makes the encoder.
        local: small views of an image, in the group `local`; 6 in the paper's best, 0
            for two views alone.
        prototypes: how many.
        temperature: divides cosines where codes are predicted.
        epsilon: sharpness of the codes, see `sinkhorn`.
        iterations: of `sinkhorn`.
        queue: earlier global batches whose embeddings join this one's where codes are
            made, for small batches; 15 batches of 256 images in the paper. 0 for none.
        queue_start: updates before they join, if more than it takes to fill the queue.
        freeze_steps: updates for which the prototypes stay; 313 in the paper, an epoch
            of batches of 4,096.
        hidden: hidden width of the projection head.
        dim: width of the embedding.
        name: the layer's name.
    """

    @checked
    def __init__(
        self,
        backbone: Callable[..., Backbone],
        *,
        local: NonNegativeInt = 0,
        prototypes: PositiveInt = 3000,
        temperature: PositiveFloat = 0.1,
        epsilon: PositiveFloat = 0.05,
        iterations: PositiveInt = 3,
        queue: NonNegativeInt = 0,
        queue_start: NonNegativeInt = 0,
        freeze_steps: NonNegativeInt = 313,
        hidden: PositiveInt = 2048,
        dim: PositiveInt = 128,
        name: str = "swav",
    ):
        """Makes the layers; see the class."""
        super().__init__(name=name)
        self._groups = {"instance": 2, **({"local": local} if local else {})}
        self._temperature = temperature
        self._freeze_steps = freeze_steps
        self.encoder = backbone(name="encoder")
        self.projection = MLPHead(
            hidden=hidden, dim=dim, bias=True, last_bias=True, name="projection"
        )
        self.prototypes = Prototypes(
            count=prototypes, weight_norm=False, name="prototypes"
        )
        self.codes = Codes(
            epsilon=epsilon,
            iterations=iterations,
            queue=queue,
            queue_start=queue_start,
            name="codes",
        )

    @property
    def requires(self) -> Mapping[str, int]:
        """Two large views, and the small ones if there are any."""
        return self._groups

    @property
    def frozen_steps(self) -> Mapping[str, int]:
        """Prototypes start moving after `freeze_steps`."""
        return {"^prototypes/": self._freeze_steps}

    def check_batch(self, images: int) -> None:
        """Implements `Objective.check_batch`."""
        check_contrast(self.name, images)

    def call(self, batch: Batch, *, step: tf.Tensor) -> Outcome:
        """Implements `Objective.call`.

        Metrics: `agreement`, the share of images whose two large views are nearest to
        the same prototype.
        """
        features = [
            self.encoder(images, training=True)
            for images in join_sizes(batch.views, self.requires)
        ]
        # As published, one normalisation over the views of all sizes.
        projected = self.projection(tf.concat(features, axis=0), training=True)
        embeddings = unit_views(projected, views=sum(self.requires.values()))
        scores = self.prototypes(embeddings)
        codes = self.codes(embeddings[:2], prototypes=self.prototypes, step=step)
        nearest = tf.argmax(scores[:2], axis=2)
        same = tf.cast(nearest[0] == nearest[1], scores.dtype)
        return Outcome(
            cross_view_entropy(codes, scores / self._temperature),
            {"agreement": tf.reduce_mean(same)},
        )

    def health(self, *, step: int, metrics: Mapping[str, float]) -> dict[str, float]:
        """Says how the queue is."""
        bank = self.codes.bank
        return {} if bank is None else bank.health(step=step)

    def after_build(self) -> None:
        """Starts the prototypes at length 1."""
        self.prototypes.renormalise()

    def after_update(self, *, step: tf.Tensor) -> None:
        """Brings the prototypes back to length 1."""
        self.prototypes.renormalise()
