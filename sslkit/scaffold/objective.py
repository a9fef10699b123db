"""The new_thing objective."""

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
    checked,
)
from sslkit.nn import MLPHead
from sslkit.objectives import each_view, info_nce


class NewThing(Objective):
    """Contrasts two views of an image with the other images of the global batch.

    van den Oord et al. 2018 (arXiv:1807.03748, eq. 4). To be changed: what is
    minimised, with its equation, and the paper that it is from.

    Args:
        backbone: makes the encoder.
        temperature: divides cosine similarities.
        dim: width of the embedding that is contrasted.
        name: the layer's name.
    """

    @checked
    def __init__(
        self,
        backbone: Callable[..., Backbone],
        *,
        temperature: PositiveFloat = 0.2,
        dim: PositiveInt = 128,
        name: str = "new_thing",
    ):
        """Makes the layers; their variables appear when the core first calls them."""
        super().__init__(name=name)
        self._temperature = temperature
        self.encoder = backbone(name="encoder")
        self.projection = MLPHead(dim=dim, unit=True, name="projection")

    @property
    def requires(self) -> Mapping[str, int]:
        """The groups of views that it takes, and how many views of each."""
        return {"instance": 2}

    def call(self, batch: Batch, *, step: tf.Tensor) -> Outcome:
        """Returns the loss of this replica's share of a batch.

        Args:
            batch: views of b images, float32 [views, b, size, size, 3] in [0, 1], and
                their labels, int32 [b], -1 for images without a label.
            step: int64 [], updates done so far.

        Returns:
            The loss, float32 [], a mean over this replica's images; and metrics,
            float32 [] each.
        """
        first, second = (
            self.projection(self.encoder(view, training=True), training=True)
            for view in each_view(batch.views, ["instance"])
        )  # float32 [b, dim] each, of length 1
        losses = [
            info_nce(first, second, temperature=self._temperature),
            info_nce(second, first, temperature=self._temperature),
        ]
        cosine = tf.reduce_mean(tf.reduce_sum(first * second, axis=1))
        return Outcome(tf.add_n(losses) / 2, {"positive_cosine": cosine})
