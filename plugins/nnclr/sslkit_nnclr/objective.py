"""The NNCLR objective."""

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
from sslkit.nn import MemoryBank, MLPHead
from sslkit.objectives import (
    check_contrast,
    each_view,
    gather_view_major,
    info_nce,
)


class NNCLR(Objective):
    """Contrasts the nearest neighbour of one view with the prediction of another.

    Dwibedi et al. 2021 (arXiv:2104.14548, eq. 3 and 4). With NN(z) the nearest of the
    embeddings of earlier batches, and p the prediction of the other view,

        L = (InfoNCE(NN(z1), p2) + InfoNCE(NN(z2), p1)) / 2

    against the predictions of the global batch. The embeddings of view 0 are added to
    the queue afterwards. No gradient flows through neighbours.

    Args:
        backbone: makes the encoder.
        bank: length of the queue, in global batches; 24 of 4,096 images in the paper.
        temperature: divides cosine similarities.
        projection_layers: depth of the projection head.
        hidden: width of its layers except the last.
        dim: width of embedding and prediction.
        predictor_hidden: hidden width of the predictor.
        name: the layer's name.
    """

    @checked
    def __init__(
        self,
        backbone: Callable[..., Backbone],
        *,
        bank: PositiveInt = 24,
        temperature: PositiveFloat = 0.1,
        projection_layers: PositiveInt = 3,
        hidden: PositiveInt = 2048,
        dim: PositiveInt = 256,
        predictor_hidden: PositiveInt = 4096,
        name: str = "nnclr",
    ):
        """Makes the layers; see the class."""
        super().__init__(name=name)
        self._temperature = temperature
        self.encoder = backbone(name="encoder")
        self.projection = MLPHead(
            layers=projection_layers,
            hidden=hidden,
            dim=dim,
            last_norm="full",
            name="projection",
        )
        self.predictor = MLPHead(
            hidden=predictor_hidden, dim=dim, last_bias=True, name="predictor"
        )
        # One batch longer, because this batch's embeddings are in it when it is read.
        self.bank = MemoryBank(batches=bank + 1, views=1, start="random", name="bank")

    @property
    def requires(self) -> Mapping[str, int]:
        """Two views."""
        return {"instance": 2}

    def check_batch(self, images: int) -> None:
        """Implements `Objective.check_batch`."""
        check_contrast(self.name, images)

    def call(self, batch: Batch, *, step: tf.Tensor) -> Outcome:
        """Implements `Objective.call`.

        Metrics: `neighbour_cosine`, the mean of z . NN(z).
        """
        embeddings, predictions = [], []
        for view in each_view(batch.views, ["instance"]):
            projected = self.projection(
                self.encoder(view, training=True), training=True
            )
            predicted = self.predictor(projected, training=True)
            embeddings.append(tf.stop_gradient(tf.math.l2_normalize(projected, axis=1)))
            predictions.append(tf.math.l2_normalize(predicted, axis=1))
        everyone = gather_view_major(embeddings[0][tf.newaxis])
        queue = self.bank(everyone).rows[everyone.shape[0] :]
        losses, cosines = [], []
        for embedding, predicted in zip(embeddings, predictions[::-1], strict=True):
            cosine = tf.matmul(embedding, queue, transpose_b=True)
            nearest = tf.gather(queue, tf.argmax(cosine, axis=1, output_type=tf.int32))
            losses.append(info_nce(nearest, predicted, temperature=self._temperature))
            cosines.append(tf.reduce_mean(tf.reduce_max(cosine, axis=1)))
        return Outcome(
            tf.add_n(losses) / 2, {"neighbour_cosine": tf.add_n(cosines) / 2}
        )

    def health(self, *, step: int, metrics: Mapping[str, float]) -> dict[str, float]:
        """Measures the queue."""
        return self.bank.health(step=step)
