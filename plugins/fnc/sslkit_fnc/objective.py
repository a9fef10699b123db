"""Contrastive learning with false negative cancellation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

import tensorflow as tf

from sslkit import replica
from sslkit.api import (
    Backbone,
    Batch,
    Compared,
    Cosine,
    Detected,
    HalfOpenShare,
    NonNegativeFloat,
    NonNegativeInt,
    Objective,
    Outcome,
    PositiveFloat,
    PositiveInt,
    Share,
    UserError,
    Views,
    checked,
)
from sslkit.nn import (
    DecaySchedule,
    MemoryBank,
    MomentumTwin,
    ProjectionHead,
    Remembered,
    decay_scale,
)
from sslkit.objectives import (
    Scores,
    block_size,
    check_contrast,
    gather_labels,
    gather_view_major,
    join_views,
    multi_view_nt_xent,
    unit_views,
)
from sslkit_fnc.course import Moment, Shape, Start
from sslkit_fnc.detection import from_start
from sslkit_fnc.measures import detection_metrics
from sslkit_fnc.policies import Policy, detection_policy


class FNC(Objective):
    """A contrastive loss in which likely false negatives are attracted or left out.

    Huynh et al. 2022 (arXiv:2011.11765). As in the released code, all views of an
    image, its two instance views and its support views, are anchors, are positives of
    one another, and are compared with candidates for detection. With `bank` > 0 the
    candidates are embeddings of a momentum encoder (He et al. 2020) from several
    batches. Without a bank they are embeddings of the global batch, through which
    gradients flow.

    Args:
        backbone: makes the encoder, and its momentum twin.
        support: support views per image, in addition to the two instance views; >= 0.
        support_role: `anchors`, as released: support views are contrasted like instance
            views. `support`: they are used only to score the candidates, without a
            backward pass.
        support_encoder: the encoder of the embeddings with which the candidates are
            scored: `momentum` or `online`. None, as released: the momentum encoder if
            there is a bank.
        temperature: divides cosine similarities; positive.
        false_negatives: `attract` makes them positives that stay in the denominator
            (eq. 4, as released), `eliminate` removes them from it (eq. 3), `ignore`
            does neither.
        detection: the policy that finds them: `topk` (with `topk` and `threshold`),
            `quantile`, `glofnd` (a learned threshold for every example of the training
            split; Balmaseda et al. 2025, arXiv:2502.20612), or `oracle`, which uses
            labels.
        detection_start: epochs before it begins; until then nothing is cancelled.
        topk: the most false negatives of an image; None for no limit.
        final_topk: the value of `topk` at the end of the run; None if it does not
            change.
        threshold: the cosine that a false negative exceeds, in [-1, 1]; None for no
            threshold.
        final_threshold: the value of `threshold` at the end of the run, likewise.
        detection_schedule: how both change from the start of detection on: `linear`, or
            along half a `cosine`.
        quantile: share of an image's candidates that are not false negatives, in [0,
            1), for `quantile` and `glofnd`.
        threshold_rate: learning rate of the thresholds of `glofnd`.
        aggregate: how the similarities to an image's views are combined to a score:
            `max` as released, or `mean`.
        bank: length of the memory bank in global batches of images, at least the views
            that are contrasted; 0 for no bank.
        bank_fill: `zeros`, as released: a row that was not written yet is a negative
            with logit 0. `lazy`: it does not count.
        decay: share of the momentum encoder that each step keeps, in [0, 1].
        decay_schedule: `constant`, or `cosine`, with which it rises to 1 at the end of
            the run: 1 - (1 - decay) (cos(pi step / steps) + 1) / 2, as in BYOL.
        momentum_init: `random` starts the momentum encoder with separate random
            weights, as released; `copy` with the encoder's weights.
        projection_layers: depth of the projection head.
        projection_dim: width of the embedding that is contrasted.
        measure_detection: whether metrics compare the detection with labels.
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
        support: NonNegativeInt = 8,
        support_role: Literal["anchors", "support"] = "anchors",
        support_encoder: Literal["online", "momentum"] | None = None,
        temperature: PositiveFloat = 0.1,
        false_negatives: Literal["attract", "eliminate", "ignore"] = "attract",
        detection: Policy = "topk",
        detection_start: NonNegativeFloat = 0.0,
        topk: PositiveInt | None = 10,
        final_topk: PositiveInt | None = None,
        threshold: Cosine | None = 0.7,
        final_threshold: Cosine | None = None,
        detection_schedule: Shape = "linear",
        quantile: HalfOpenShare = 0.99,
        threshold_rate: PositiveFloat = 0.05,
        aggregate: Literal["max", "mean"] = "max",
        bank: NonNegativeInt = 16,
        bank_fill: Literal["zeros", "lazy"] = "zeros",
        decay: Share = 0.999,
        decay_schedule: DecaySchedule = "constant",
        momentum_init: Literal["random", "copy"] = "random",
        projection_layers: PositiveInt = 3,
        projection_dim: PositiveInt = 128,
        measure_detection: bool = False,
        block: NonNegativeInt | None = None,
        name: str = "fnc",
    ):
        """Keeps the options; see the class."""
        super().__init__(name=name)
        if (
            detection == "topk"
            and false_negatives != "ignore"
            and topk is None
            and threshold is None
        ):
            raise UserError(
                "fnc: topk and threshold are both None, which makes every candidate a "
                "false negative; set one of them, or false_negatives = 'ignore'."
            )
        contrasted = 2 + (support if support_role == "anchors" else 0)
        if 0 < bank < contrasted:
            raise UserError(
                f"fnc: bank is {bank} global batches; each step writes {contrasted} "
                f"views of every image, so it must be 0 or at least {contrasted}. Set "
                f"objectives.fnc.bank = {contrasted}, or lower objectives.fnc.support."
            )
        self._support = support
        self._temperature = temperature
        self._false_negatives = false_negatives
        self._aggregate = aggregate
        self._decay = decay
        self._decay_schedule = decay_schedule
        self._momentum_init = momentum_init
        self._measure = measure_detection
        self._block = block
        self._bank_batches = bank
        self._detection = detection_policy(
            detection,
            topk=topk,
            final_topk=final_topk,
            threshold=threshold,
            final_threshold=final_threshold,
            schedule=detection_schedule,
            quantile=quantile,
            threshold_rate=threshold_rate,
        )
        self._start = Start(detection_start)
        self._images = 1
        # With both None, the policy would take all candidates.
        self._has_policy = detection != "topk" or (topk, threshold) != (None, None)
        self.needs_labels = self._detection.needs_labels or measure_detection
        # The groups of views that are contrasted, and those that detection uses.
        everything = list(self.requires)
        self._anchors = everything if support_role == "anchors" else ["instance"]
        self._references = everything if support_role == "anchors" else everything[-1:]
        self._views = sum(self.requires[group] for group in self._anchors)
        if support_encoder is None:
            support_encoder = "momentum" if bank else "online"
        self._momentum_references = support_encoder == "momentum"

        def head(name: str) -> ProjectionHead:
            return ProjectionHead(
                layers=projection_layers, dim=projection_dim, name=name
            )

        self.encoder = backbone(name="encoder")
        self.projection = head("projection")
        self.momentum = self.bank = None
        if bank or self._momentum_references:
            self.momentum = MomentumTwin(
                [backbone(name="encoder"), head("projection")], name="momentum"
            )
        if bank:
            self.bank = MemoryBank(
                batches=bank,
                views=self._views,
                lazy=bank_fill == "lazy",
                labels=self.needs_labels,
                name="bank",
            )

    @property
    def requires(self) -> Mapping[str, int]:
        """Two instance views, and the support views if there are any."""
        support = {"support": self._support} if self._support else {}
        return {"instance": 2, **support}

    def check_batch(self, images: int) -> None:
        """Implements `Objective.check_batch`."""
        check_contrast(self.name, images)
        self._images = images
        if self._detects:
            columns = images * (self._bank_batches or self._views)
            self._detection.check(candidates=columns - self._views)

    def describe(self) -> str:
        """Returns what becomes of false negatives, and from when on."""
        if self._false_negatives == "ignore":
            return "false negatives: ignored"
        when = self._start.describe(
            images=self._images, examples=self.examples, steps=self.steps
        )
        taken = self._detection.describe()
        text = f"false negatives: it {self._false_negatives}s {taken}"
        return f"{text}, {when}" if when else text

    @property
    def _detects(self) -> bool:
        return self._false_negatives != "ignore" or self._measure

    def call(self, batch: Batch, *, step: tf.Tensor) -> Outcome:
        """Implements `Objective.call`.

        Metrics: `positive_cosine`, the mean over pairs of the first two views;
        `false_negatives`, how many candidates an image has cancelled on average; and
        with `measure_detection` those of `detection_metrics`.
        """
        images = batch.label.shape[0]
        anchors = self._online(batch.views, self._anchors)
        keys, references = self._embed(batch.views, anchors)
        candidates = self._candidates(keys, batch.label)
        columns = candidates.rows.shape[0]
        block = block_size(
            rows=self._views * images, columns=columns, block=self._block
        )
        metrics = {
            "positive_cosine": tf.reduce_mean(
                tf.reduce_sum(anchors[0] * anchors[1], axis=1)
            )
        }
        detected = None
        if self._detects:
            scores = Scores(
                references,
                candidates.rows,
                views=self._views,
                aggregate=self._aggregate,
                labels=(batch.label, candidates.labels) if self.needs_labels else None,
                written=candidates.written,
                block=block,
            )
            moment = self._moment(step, images * replica.count(), batch.index)
            detected = from_start(self._detection.select(scores, moment), moment)
            metrics |= detection_metrics(detected, scores, measure=self._measure)
        loss = multi_view_nt_xent(
            anchors,
            candidates.rows,
            temperature=self._temperature,
            attracted=detected if self._false_negatives == "attract" else None,
            eliminated=detected if self._false_negatives == "eliminate" else None,
            written=candidates.written,
            through_candidates=self.bank is None,
            block=block,
        )
        return Outcome(loss, metrics)

    def _moment(
        self, step: tf.Tensor, images: int, indices: tf.Tensor | None = None
    ) -> Moment:
        return self._start.moment(
            step,
            images=images,
            examples=self.examples,
            steps=self.steps,
            indices=indices,
        )

    def compared(self, views: Views) -> Compared:
        """Implements `Objective.compared`: the embeddings that the loss compares."""
        keys, references = self._embed(views, self._online(views, self._anchors))
        return Compared(references, keys)

    def compared_images(self, images: int) -> int:
        """Implements `Objective.compared_images`: the images in the bank."""
        return images * self._bank_batches // self._views or images

    def detect(
        self, compared: Compared, labels: tf.Tensor, *, step: tf.Tensor
    ) -> Detected | None:
        """Implements `Objective.detect`, by the policy at that step.

        It returns None without a policy, and with a policy that only works for training
        images.
        """
        if not self._has_policy or self._detection.needs_examples:
            return None
        views, images, dim = compared.candidates.shape
        self._detection.check(candidates=views * (images - 1))
        scores = Scores(
            compared.references,
            tf.reshape(compared.candidates, [views * images, dim]),
            views=views,
            aggregate=self._aggregate,
            labels=(labels, tf.tile(labels, [views])),
        )
        columns = tf.range(views * images)
        return Detected(
            scores.of(columns),
            self._detection.select(scores, self._moment(step, self._images)).mask(
                columns
            ),
            self._detection.describe(),
        )

    def health(self, *, step: int, metrics: Mapping[str, float]) -> dict[str, float]:
        """Measures bank, momentum encoder and detector; see `MemoryBank.health`.

        `false_negatives` is how many candidates an image has cancelled on average, and
        `detected_share` that number as a share of the largest possible: of `topk`, or
        of all candidates without it. A detector that takes a fixed number does not have
        this measure.
        """
        found: dict[str, float] = {}
        if self.momentum is not None:
            online = [self.encoder, self.projection]
            found["twin_distance"] = self.momentum.distance(online)
        if self.bank is not None:
            found |= self.bank.health(step=step)
        if self._detects and "false_negatives" in metrics and self._begun(step):
            found["false_negatives"] = metrics["false_negatives"]
            columns = None if self.bank is None else self.bank.rows.shape[0]
            most = self._detection.most(
                None if columns is None else columns - self._views
            )
            if most is not None:
                found["detected_share"] = metrics["false_negatives"] / most
        return found

    def _begun(self, step: int) -> bool:
        """Returns whether detection had begun in the last of `step` updates."""
        return step > self._start.step(images=self._images, examples=self.examples)

    def after_build(self) -> None:
        """Sets the momentum encoder to a copy, if the options say so."""
        if self.momentum is not None and self._momentum_init == "copy":
            self.momentum.copy([self.encoder, self.projection])

    def after_update(self, *, step: tf.Tensor) -> None:
        """Moves the momentum encoder towards the new weights."""
        if self.momentum is None:
            return
        scale = decay_scale(
            self._decay_schedule, step=step, steps=self.steps, owner=self.name
        )
        self.momentum.follow(
            [self.encoder, self.projection], decay=self._decay, scale=scale
        )

    def _online(self, views: Views, groups: list[str]) -> tf.Tensor:
        """Embeds groups of views with the trained weights, [V, b, D]."""
        features = self.encoder(join_views(views, groups), training=True)
        return self._unit(self.projection(features, training=True), groups)

    def _unit(self, projected: tf.Tensor, groups: list[str]) -> tf.Tensor:
        return unit_views(projected, views=sum(self.requires[g] for g in groups))

    def _embed(self, views: Views, anchors: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns the embeddings for candidates and for detection, [V, b, D] each."""
        found = Views({})
        if self.momentum is not None:
            # One forward pass of the momentum encoder over all views that it needs.
            wanted = [
                group
                for group in self.requires
                if (self.bank is not None and group in self._anchors)
                or (self._momentum_references and group in self._references)
            ]
            projected = self.momentum(join_views(views, wanted), training=True)
            layout = tuple((group, self.requires[group]) for group in wanted)
            found = Views({layout: self._unit(projected, wanted)})
        keys = anchors
        if self.bank is not None:
            keys = found.joined(self._anchors)
        if self._momentum_references:
            return keys, found.joined(self._references)
        if self._references == self._anchors:
            return keys, anchors
        return keys, tf.stop_gradient(self._online(views, self._references))

    def _candidates(self, keys: tf.Tensor, labels: tf.Tensor) -> Remembered:
        """Returns the rows with which anchors are contrasted, and their labels."""
        everyone, told = gather_view_major(keys), None
        if self.needs_labels:
            told = tf.tile(gather_labels(labels), [self._views])
        if self.bank is None:
            return Remembered(everyone, told, None)
        return self.bank(tf.stop_gradient(everyone), told)
