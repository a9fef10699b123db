"""Cross-entropy on labels: training from scratch, linear evaluation, fine-tuning."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import tensorflow as tf

from sslkit import replica
from sslkit.api import Backbone, Batch, Objective, Outcome, UserError
from sslkit.nn.heads import LinearClassifier
from sslkit.objectives.contrastive import join_views


class Supervised(Objective):
    """A linear classifier on an encoder, trained with softmax cross-entropy.

    Linear evaluation and fine-tuning as in Chen et al. 2020 (arXiv:2002.05709,
    appendix B.6 to B.8).

    Args:
        backbone: makes the encoder.
        classes: columns of the classifier; at least the classes of the data.
        train_encoder: if false the encoder is frozen and normalises with its moving
            statistics, as linear evaluation does.
        zero_init: starts the classifier's kernel from zero, as the published linear
            evaluation and fine-tuning do; otherwise from N(0, 0.01).
        name: the layer's name.
    """

    def __init__(
        self,
        backbone: Callable[..., Backbone],
        *,
        classes: int,
        train_encoder: bool = True,
        zero_init: bool = False,
        name: str = "supervised",
    ):
        """Keeps the options; see the class."""
        super().__init__(name=name)
        if classes < 1:
            raise UserError(f"supervised: classes is {classes}; it is 1 or more.")
        self.classes = classes
        self._train_encoder = train_encoder
        self.encoder = backbone(name="encoder")
        self.encoder.trainable = train_encoder
        self.classifier = LinearClassifier(
            classes=classes, zero_init=zero_init, name="classifier"
        )

    @property
    def requires(self) -> Mapping[str, int]:
        """One view of each image."""
        return {"instance": 1}

    def call(self, batch: Batch, *, step: tf.Tensor) -> Outcome:
        """Implements `Objective.call`; metrics are top-1 and top-5 on the batch."""
        images = join_views(batch.views, ["instance"])
        features = self.encoder(images, training=self._train_encoder)
        logits = self.classifier(features)
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(
            labels=tf.maximum(batch.label, 0), logits=logits
        )
        # The mean over the global batch, whatever the padding on each replica.
        weight = batch.weight / tf.maximum(
            replica.mean(tf.reduce_sum(batch.weight)), 1e-12
        )
        # The operation takes float32 alone.
        scores = tf.cast(logits, tf.float32)
        metrics = {
            f"top{k}": tf.reduce_sum(
                weight * tf.cast(tf.math.in_top_k(batch.label, scores, k), weight.dtype)
            )
            for k in (1, 5)
            if k <= logits.shape[1]
        }
        return Outcome(tf.reduce_sum(weight * losses), metrics)

    def logits(self, images: tf.Tensor) -> tf.Tensor:
        """Implements `Objective.logits`."""
        return self.classifier(self.encoder(images, training=False))
