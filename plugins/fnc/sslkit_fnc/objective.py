"""Contrastive learning with false negative cancellation."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import tensorflow as tf

from sslkit.api import Backbone, Batch, Objective, Outcome, UserError
from sslkit.nn import MemoryBank, MomentumTwin, ProjectionHead
from sslkit.objectives import gather_view_major, join_views
from sslkit_fnc.loss import cancelled_nt_xent

CHOICES = {
    "false_negatives": ("attract", "eliminate", "ignore"),
    "aggregate": ("max", "mean"),
    "momentum_init": ("random", "copy"),
}


class FNC(Objective):
    """Contrasts views while likely false negatives are attracted or left out.

    Huynh et al. 2022 (arXiv:2011.11765). All views of an image, its two instance views
    and its support views, are anchors, positives of one another, and what detection
    looks at. With `bank` > 0 the candidates are embeddings of a momentum encoder (He et
    al. 2020) kept over several batches; otherwise those of the global batch, through
    which gradients flow.

    Args:
        backbone: makes the encoder, and its momentum twin.
        support: support views of each image, beside the two instance views; >= 0.
        temperature: divides cosine similarities; positive.
        false_negatives: `attract` makes them positives that stay in the denominator
            (eq. 4, as released), `eliminate` takes them out of it (eq. 3), `ignore`
            does neither.
        topk: at most so many candidates are false negatives of an image; None: any.
        threshold: the cosine a false negative exceeds, in [-1, 1]; None: any.
        aggregate: how the similarities to an image's views become one score: `max` as
            released, or `mean`.
        bank: length of the memory bank in global batches of images, at least the
            number of views; 0 for no bank and no momentum encoder. A row that was not
            written yet is zero, and counts as a negative with logit 0.
        decay: share of the momentum encoder that each step keeps, in [0, 1].
        momentum_init: `random` starts the momentum encoder from weights of its own, as
            released; `copy` from the encoder's.
        projection_layers: depth of the projection head.
        projection_dim: width of the embedding that is contrasted.
        name: the layer's name.
    """

    def __init__(
        self,
        backbone: Callable[..., Backbone],
        *,
        support: int = 8,
        temperature: float = 0.1,
        false_negatives: str = "attract",
        topk: int | None = 10,
        threshold: float | None = 0.7,
        aggregate: str = "max",
        bank: int = 16,
        decay: float = 0.999,
        momentum_init: str = "random",
        projection_layers: int = 3,
        projection_dim: int = 128,
        name: str = "fnc",
    ):
        """Keeps the options; see the class."""
        super().__init__(name=name)
        given = {
            "false_negatives": false_negatives,
            "aggregate": aggregate,
            "momentum_init": momentum_init,
        }
        for option, value in given.items():
            if value not in CHOICES[option]:
                choices = ", ".join(repr(choice) for choice in CHOICES[option])
                raise UserError(f"fnc: {option} is {value!r}; it can be {choices}.")
        views = 2 + support
        checks = [
            (support >= 0, f"support is {support}; it is 0 or more"),
            (temperature > 0, f"temperature is {temperature}; it is positive"),
            (topk is None or topk >= 1, f"topk is {topk}; it is 1 or more, or None"),
            (
                threshold is None or -1 <= threshold <= 1,
                f"threshold is {threshold}; a cosine is in [-1, 1]",
            ),
            (0 <= decay <= 1, f"decay is {decay}; it is in [0, 1]"),
            (
                bank == 0 or bank >= views,
                f"bank is {bank}; each step writes {views} views of every image, so it "
                f"is 0 or at least {views}",
            ),
        ]
        for fine, complaint in checks:
            if not fine:
                raise UserError(f"fnc: {complaint}.")
        self._support = support
        self._views = views
        self._temperature = temperature
        self._false_negatives = false_negatives
        self._topk = topk
        self._threshold = threshold
        self._aggregate = aggregate
        self._decay = decay
        self._momentum_init = momentum_init

        def head(name: str) -> ProjectionHead:
            return ProjectionHead(
                layers=projection_layers, dim=projection_dim, name=name
            )

        self.encoder = backbone(name="encoder")
        self.projection = head("projection")
        self.momentum = None
        if bank:
            self.momentum = MomentumTwin(
                [backbone(name="encoder"), head("projection")], name="momentum"
            )
            self.bank = MemoryBank(batches=bank, views=views, name="bank")

    @property
    def requires(self) -> Mapping[str, int]:
        """Two instance views, and the support views if there are any."""
        support = {"support": self._support} if self._support else {}
        return {"instance": 2, **support}

    def call(self, batch: Batch, *, step: tf.Tensor) -> Outcome:
        """Implements `Objective.call`.

        Metrics: `positive_cosine`, the mean over pairs of the first two views;
        `false_negatives`, how many candidates an image has cancelled on average.
        """
        images = join_views(batch.views, self.requires)
        features = self.encoder(images, training=True)
        anchors = self._unit(self.projection(features, training=True))
        if self.momentum is None:
            references, candidates = anchors, gather_view_major(anchors)
        else:
            references = self._unit(self.momentum(images, training=True))
            candidates = self.bank(tf.stop_gradient(gather_view_major(references)))
        loss, detected = cancelled_nt_xent(
            anchors,
            references,
            candidates,
            temperature=self._temperature,
            false_negatives=self._false_negatives,
            topk=self._topk,
            threshold=self._threshold,
            aggregate=self._aggregate,
        )
        found = tf.reduce_mean(tf.reduce_sum(tf.cast(detected, tf.float32), axis=1))
        cosine = tf.reduce_mean(tf.reduce_sum(anchors[0] * anchors[1], axis=1))
        return Outcome(loss, {"positive_cosine": cosine, "false_negatives": found})

    def after_build(self) -> None:
        """Starts the momentum encoder as a copy where that is asked for."""
        if self.momentum is not None and self._momentum_init == "copy":
            self.momentum.copy([self.encoder, self.projection])

    def after_update(self, *, step: tf.Tensor) -> None:
        """Moves the momentum encoder towards the weights just updated."""
        if self.momentum is not None:
            self.momentum.follow([self.encoder, self.projection], decay=self._decay)

    def _unit(self, projected: tf.Tensor) -> tf.Tensor:
        """Normalises view-major [V * b, D] to unit vectors, [V, b, D]."""
        unit = tf.math.l2_normalize(projected, axis=1)
        return tf.reshape(unit, [self._views, -1, unit.shape[1]])
