"""The objective of MoCo v1 and v2."""

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
    Share,
    checked,
)
from sslkit.nn import MemoryBank, MLPHead, MomentumTwin
from sslkit.objectives import each_view, gather_view_major


class MoCoV2(Objective):
    """Finds the momentum twin's view of an image among a queue of earlier images.

    He et al. 2020 (arXiv:1911.05722, eq. 1 and 2) with the head of Chen et al. 2020
    (arXiv:2003.04297). View 0 is the query q; the twin makes the key k from view 1; the
    negatives are the keys of earlier batches:

        L = -log(exp(q . k / t)
                 / (exp(q . k / t) + sum over the queue of exp(q . n / t)))

    Args:
        backbone: makes the encoder, and its twin.
        bank: length of the queue, in global batches; 256 of 256 images in the paper.
        decay: share of the twin that each step keeps.
        temperature: divides cosine similarities; 0.07 in v1, 0.2 in v2.
        projection_layers: depth of the projection head: 1 in v1, 2 in v2.
        dim: width of query and key.
        name: the layer's name.
    """

    @checked
    def __init__(
        self,
        backbone: Callable[..., Backbone],
        *,
        bank: PositiveInt = 256,
        decay: Share = 0.999,
        temperature: PositiveFloat = 0.2,
        projection_layers: PositiveInt = 2,
        dim: PositiveInt = 128,
        name: str = "moco_v2",
    ):
        """Makes the layers; see the class."""
        super().__init__(name=name)
        self._decay = decay
        self._temperature = temperature

        def head() -> MLPHead:
            return MLPHead(
                layers=projection_layers,
                dim=dim,
                norm=False,
                bias=True,
                last_bias=True,
                unit=True,
                name="projection",
            )

        self.encoder = backbone(name="encoder")
        self.projection = head()
        self.momentum = MomentumTwin(
            [backbone(name="encoder"), head()], name="momentum"
        )
        # One batch longer, because this batch's keys are in it when it is read.
        self.bank = MemoryBank(batches=bank + 1, views=1, start="random", name="bank")

    @property
    def requires(self) -> Mapping[str, int]:
        """A query view and a key view."""
        return {"instance": 2}

    def call(self, batch: Batch, *, step: tf.Tensor) -> Outcome:
        """Implements `Objective.call`.

        Metrics: `positive_cosine`, the mean of q . k; `top1`, the share of queries
        whose key is nearer than all of the queue.
        """
        first, second = each_view(batch.views, ["instance"])
        query = self.projection(self.encoder(first, training=True), training=True)
        key = self.momentum(second, training=True)
        everyone = gather_view_major(key[tf.newaxis])
        queue = self.bank(everyone).rows[everyone.shape[0] :]
        positive = tf.reduce_sum(query * key, axis=1, keepdims=True)
        negatives = tf.matmul(query, queue, transpose_b=True)
        logits = tf.concat([positive, negatives], axis=1) / self._temperature
        losses = tf.reduce_logsumexp(logits, axis=1) - logits[:, 0]
        nearest = tf.reduce_max(negatives, axis=1) < positive[:, 0]
        metrics = {
            "positive_cosine": tf.reduce_mean(positive),
            "top1": tf.reduce_mean(tf.cast(nearest, query.dtype)),
        }
        return Outcome(tf.reduce_mean(losses), metrics)

    def health(self, *, step: int, metrics: Mapping[str, float]) -> dict[str, float]:
        """Measures the queue, and how far the twin is from the online layers."""
        return {
            "twin_distance": self.momentum.distance([self.encoder, self.projection]),
            **self.bank.health(step=step),
        }

    def after_build(self) -> None:
        """Sets the twin to a copy of the online layers."""
        self.momentum.copy([self.encoder, self.projection])

    def after_update(self, *, step: tf.Tensor) -> None:
        """Moves the twin towards the new weights."""
        self.momentum.follow([self.encoder, self.projection], decay=self._decay)
