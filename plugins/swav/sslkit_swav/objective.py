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
    """Predicts, from one view, the prototypes to which another view is assigned.

    Caron et al. 2020 (arXiv:2006.09882, eq. 1 to 5 and sec. 3.2). With z the embedding
    of a view and C the prototypes, all of length 1, the codes q of a large view are
    computed by `sinkhorn` from z'C over the global batch, and

        L = mean over large views t and other views v of -sum q_t log softmax(z_v'C / T)

    No gradient flows through the codes. Prototypes are divided by their length after
    each update, and keep their initial values for the first `freeze_steps` updates.

    Args:
        backbone: makes the encoder.
        local: small views per image, in the group `local`; 6 in the paper's best
            result, 0 for only the two large views.
        prototypes: number of prototypes.
        temperature: divides cosines when codes are predicted.
        epsilon: sharpness of the codes, see `sinkhorn`.
        iterations: number of iterations of `sinkhorn`.
        queue: earlier global batches whose embeddings are used, too, to compute codes,
            for small batches; 15 batches of 256 images in the paper. 0 for none.
        queue_start: updates before they are used, if that is later than when the queue
            is full.
        freeze_steps: updates for which the prototypes keep their initial values; 313 in
            the paper, an epoch of batches of 4,096.
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
        """Prototypes are trained after `freeze_steps`."""
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
        """Measures the queue."""
        bank = self.codes.bank
        return {} if bank is None else bank.health(step=step)

    def after_build(self) -> None:
        """Divides the initial prototypes by their length."""
        self.prototypes.renormalise()

    def after_update(self, *, step: tf.Tensor) -> None:
        """Divides the prototypes by their length."""
        self.prototypes.renormalise()
