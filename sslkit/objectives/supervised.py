"""Cross-entropy on labels: training from scratch, linear evaluation, fine-tuning."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated

import tensorflow as tf

from sslkit import replica
from sslkit.api import (
    Backbone,
    Batch,
    Freezable,
    Objective,
    Outcome,
    PositiveInt,
    Range,
    UserError,
    checked,
)
from sslkit.nn.heads import LinearClassifier, ProjectionHead
from sslkit.objectives.layout import join_views

_ALL, _NONE = -1, 4
"""Values of `fine_tune_after_block` that are possible with any backbone."""


class Supervised(Objective):
    """A linear classifier on an encoder, trained with softmax cross-entropy.

    Linear evaluation as in Chen et al. 2020 (arXiv:2002.05709, app. B.6). Fine-tuning
    follows the published code of SimCLR v2 (arXiv:2006.10029, sec. 2): the classifier
    may be on an inner layer of the projection head, and frozen layers still normalise
    with batch statistics and update their moving statistics. Only in linear evaluation
    the whole encoder is in inference mode.

    Args:
        backbone: makes the encoder.
        classes: outputs of the classifier; at least the number of classes of the data.
        fine_tune_after_block: which part of the encoder is trained: -1 all of it; 0 all
            except the stem; 1 to 3 the blocks after this group; 4 nothing, and the
            encoder normalises with its moving statistics (linear evaluation). With a
            backbone without blocks, only -1 and 4 are possible.
        projection_layer: which output of the projection head is classified: 0 the
            encoder's features, without a head; 1 the first layer's output, and so on;
            -1 the last layer's.
        train_projection: whether the projection layers in use are trained too. In the
            published code they are not, and they normalise with batch statistics.
        projection_layers: depth of the projection head that was pretrained.
        projection_dim: width of its output.
        zero_init: starts the classifier's kernel from zero, as the published linear
            evaluation and fine-tuning do; otherwise from N(0, 0.01).
        name: the layer's name.

    Raises:
        UserError: if an option has a value that is not described above.
    """

    mean_over_examples = True

    @checked
    def __init__(
        self,
        backbone: Callable[..., Backbone],
        *,
        classes: PositiveInt,
        fine_tune_after_block: Annotated[int, Range(-1, 4)] = -1,
        projection_layer: Annotated[int, Range(-1)] = 0,
        train_projection: bool = False,
        projection_layers: PositiveInt = 3,
        projection_dim: PositiveInt = 128,
        zero_init: bool = False,
        name: str = "supervised",
    ):
        """Checks and keeps the options; see the class."""
        super().__init__(name=name)
        if projection_layer > projection_layers:
            raise UserError(
                f"supervised: projection_layer is {projection_layer}; the head has "
                f"{projection_layers} layers, so it is 0 (the encoder's features) to "
                f"{projection_layers}, or -1 for the last."
            )
        if train_projection and projection_layer == 0:
            raise UserError(
                "supervised: train_projection is set and projection_layer is 0: no "
                "projection layer is in use. Choose one, from 1 on."
            )
        self.classes = classes
        self._encoder_training = fine_tune_after_block < _NONE
        self.encoder = backbone(name="encoder")
        self._freeze(fine_tune_after_block)
        self._in_use = projection_layer % (projection_layers + 1)
        self.projection = None
        if self._in_use:
            self.projection = ProjectionHead(
                layers=projection_layers, dim=projection_dim, name="projection"
            )
            self.projection.trainable = train_projection
        self.classifier = LinearClassifier(
            classes=classes, zero_init=zero_init, name="classifier"
        )

    @property
    def requires(self) -> Mapping[str, int]:
        """One view of each image."""
        return {"instance": 1}

    def call(self, batch: Batch, *, step: tf.Tensor) -> Outcome:
        """Implements `Objective.call`; metrics are top-1 and top-5 on the batch.

        All are means over the images of the global batch that have a label, and 0 if
        none has one.
        """
        images = join_views(batch.views, ["instance"])
        features = self.encoder(images, training=self._encoder_training)
        logits = self.classifier(self._project(features, training=True))
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(
            labels=tf.maximum(batch.label, 0), logits=logits
        )
        labelled = tf.cast(batch.label >= 0, losses.dtype)
        # A mean over the global batch, whatever the number of labels on each replica.
        weight = labelled / tf.maximum(replica.mean(tf.reduce_sum(labelled)), 1e-12)
        # The operation takes float32 only.
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
        features = self.encoder(images, training=False)
        return self.classifier(self._project(features, training=False))

    def _project(self, features: tf.Tensor, *, training: bool) -> tf.Tensor:
        """Runs the projection layers in use, and no others."""
        if self.projection is None:
            return features
        if not self.projection.built:
            self.projection.build(tuple(features.shape))
        # Layers are trainable when they are made; layers after the one in use would
        # never receive a gradient.
        for layer in self.projection.layers[self._in_use :]:
            layer.trainable = False
        for layer in self.projection.layers[: self._in_use]:
            features = layer(features, training=training)
        return features

    def _freeze(self, block: int) -> None:
        if block == _NONE:
            self.encoder.trainable = False
        elif block > _ALL:
            if not isinstance(self.encoder, Freezable):
                raise UserError(
                    f"supervised: fine_tune_after_block is {block}, but "
                    f"{type(self.encoder).__name__} has no blocks to freeze. Choose "
                    f"{_ALL} (train everything) or {_NONE} (only the classifier)."
                )
            self.encoder.freeze(through=block)
