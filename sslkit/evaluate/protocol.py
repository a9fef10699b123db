"""Which numbers are measured, on what, and against which baselines."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf

from sslkit.api import (
    Backbone,
    Objective,
    PositiveFloat,
    PositiveInt,
    Seed,
    checked,
)
from sslkit.errors import UserError
from sslkit.evaluate.accuracy import accuracy
from sslkit.evaluate.features import Features, FrozenEncoder, frozen
from sslkit.evaluate.health import health
from sslkit.evaluate.knn import knn_accuracies, knn_protocol
from sslkit.evaluate.linear import linear_probe
from sslkit.evaluate.probe import KnnProbe
from sslkit.evaluate.report import PIXELS, TRAINED, UNTRAINED, Report, Row
from sslkit.evaluate.splits import Side, Splits

if TYPE_CHECKING:
    from sslkit.data.dataset import Data

LINEAR_PROTOCOL = "linear (logistic regression on frozen features)"
CLASSIFIER_PROTOCOL = "classifier (the objective's own head)"
_PIXEL_SIDE = 32


@checked
def evaluate(
    objective: Objective,
    data: Data,
    *,
    size: PositiveInt,
    seed: Seed,
    untrained: Callable[[], Backbone] | None = None,
    bank: str | None = None,
    knn_neighbours: Sequence[PositiveInt] = (20, 200),
    knn_temperature: PositiveFloat = 0.07,
    linear: bool = True,
    classifier: bool = True,
    baselines: bool = True,
    batch_size: PositiveInt = 256,
    train_limit: PositiveInt | None = None,
    test_limit: PositiveInt | None = None,
) -> Evaluation:
    """Says how a frozen encoder is evaluated; nothing is read or encoded yet.

    With labels: kNN and a linear probe on the encoder's features, the objective's own
    classifier where it has one, and as baselines the same kNN and probe on an
    untrained encoder and on raw pixels (the same views, at most 32 px, flattened).
    With or without labels: the health of the features. Images are central crops
    without augmentation; the encoder runs in inference mode. Memory holds the features
    of one split of one representation at a time. An example without a label is in no
    accuracy, and the report says how many there were.

    Args:
        objective: built; its `encoder` is evaluated.
        data: its `test` split is scored.
        size: side of the views, in pixels.
        seed: fixes the linear probe's held-out part and order.
        untrained: builds a freshly initialised encoder, the baseline; None leaves
            that baseline out.
        bank: the split that is the bank of kNN and fits the linear probe, by its name
            in the dataset; None for the split that was trained on, which is what most
            published numbers mean. For a run on unlabelled images, name the labelled
            split beside them.
        knn_neighbours: neighbours that vote, a row for each number; one that exceeds
            the bank is left out, or clipped if there is no other.
        knn_temperature: divides cosine similarities in the vote's exponent.
        linear: whether to fit linear probes.
        classifier: whether to score the objective's own classifier, where it has one;
            on other data than the run's it means nothing.
        baselines: whether to measure baselines too.
        batch_size: images encoded at once.
        train_limit: examples of the bank's split to use, a fixed mixed choice; None is
            all.
        test_limit: test examples to score, likewise.
    """
    return Evaluation(
        objective=objective,
        splits=Splits(data, bank, train_limit, test_limit, batch_size),
        size=size,
        seed=seed,
        untrained=untrained if baselines else None,
        knn_neighbours=knn_neighbours,
        knn_temperature=knn_temperature,
        linear=linear,
        classifier=classifier and objective.classes is not None,
        pixels=baselines,
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Evaluation:
    """An evaluation that is described and not yet made; see `evaluate`."""

    objective: Objective
    splits: Splits
    size: int
    seed: int
    untrained: Callable[[], Backbone] | None
    knn_neighbours: Sequence[int]
    knn_temperature: float
    linear: bool
    classifier: bool
    pixels: bool

    def check(self) -> str | None:
        """Looks at splits and labels, before a run spends hours on what it measures.

        Returns:
            Why accuracies cannot be measured, in words; None if they can.

        Raises:
            UserError: if the data has more classes than the classifier, labelled data
                has no test split, or a bank that was named has no labels.
        """
        why_not = self.splits.unlabelled()
        if why_not is None and self.classifier:
            self._check_classes()
        return why_not

    def probe(self) -> KnnProbe:
        """Returns a small kNN evaluation with the same bank, for during training."""

        def encode(images: tf.Tensor) -> tf.Tensor:
            return self.objective.encoder(images, training=False)

        return KnnProbe(
            encode, self.splits.data, size=self.size, bank_split=self.splits.bank
        )

    def report(self) -> Report:
        """Makes the evaluation.

        Raises:
            UserError: as `check`, or if an example cannot be read.
        """
        why_not = self.check()
        encoders = {TRAINED: _inference(self.objective.encoder)}
        if self.untrained is not None:
            encoders[UNTRAINED] = _inference(self.untrained())
        if why_not is not None:
            return self._without_labels(encoders, why_not)
        if self.pixels:
            encoders[PIXELS] = frozen(_pixels)

        rows: list[Row] = []
        found = {}
        notes: tuple[str, ...] = ()
        for name, encode in encoders.items():
            bank, test = (self._features(side, encode) for side in ("bank", "test"))
            if name != PIXELS:
                found[name] = health(test.features)
            notes = self._left_out(bank, test)
            bank, test = bank.labelled(), test.labelled()
            rows += _knn(name, bank, test, self.knn_neighbours, self.knn_temperature)
            if self.linear:
                rows.append(_linear(name, bank, test, self.seed))
        if self.classifier:
            logits = self._features("test", frozen(self.objective.logits))
            rows.append(_classifier(logits.labelled()))
        return Report(tuple(rows), found, "test", notes)

    def _features(self, side: Side, encode: FrozenEncoder) -> Features:
        return self.splits.features(side, encode, size=self.size)

    def _left_out(self, bank: Features, test: Features) -> tuple[str, ...]:
        sides: dict[Side, Features] = {"bank": bank, "test": test}
        return tuple(
            f"{missing:,} of {len(found.label):,} examples of "
            f"{self.splits.source(side).name} have no label: they are in no accuracy"
            for side, found in sides.items()
            if (missing := int(np.sum(found.label < 0)))
        )

    def _check_classes(self) -> None:
        sides: tuple[Side, ...] = ("bank", "test")
        classes = max(self.splits.source(side).classes or 0 for side in sides)
        if self.objective.classes is not None and classes > self.objective.classes:
            raise UserError(
                f"the data has {classes} classes and the classifier "
                f"{self.objective.classes}; evaluate on the data it was trained for"
            )

    def _without_labels(
        self, encoders: Mapping[str, FrozenEncoder], why_not: str
    ) -> Report:
        notes = [
            f"{why_not}: accuracies cannot be measured, only the health of the features"
        ]
        side: Side = "test"
        try:
            self.splits.source("test")
        except UserError:
            side = "bank"
            notes.append("there is no test split: health is of training images")
        found = {
            name: health(self._features(side, encode).features)
            for name, encode in encoders.items()
        }
        name = "train" if side == "bank" else side
        return Report((), found, name, tuple(notes))


def _knn(
    name: str,
    train: Features,
    test: Features,
    neighbours: Sequence[int],
    temperature: float,
) -> list[Row]:
    bank_size = len(train.label)
    # Of several, those that the bank is too small for say nothing.
    numbers = [k for k in neighbours if k <= bank_size] or list(neighbours)[:1]
    scores = knn_accuracies(train, test, neighbours=numbers, temperature=temperature)
    return [
        Row(
            knn_protocol(neighbours=k, temperature=temperature, bank_size=bank_size),
            name,
            *score,
            bank_size,
            len(test.label),
        )
        for k, score in zip(numbers, scores, strict=True)
    ]


def _linear(name: str, train: Features, test: Features, seed: int) -> Row:
    probe = linear_probe(train, test, seed=seed)
    return Row(
        LINEAR_PROTOCOL,
        name,
        *probe.accuracy,
        len(train.label),
        len(test.label),
        detail=probe.chosen,
    )


def _classifier(logits: Features) -> Row:
    score = accuracy(logits.features, logits.label)
    return Row(CLASSIFIER_PROTOCOL, TRAINED, *score, 0, len(logits.label))


def _inference(encoder: Backbone) -> FrozenEncoder:
    return frozen(lambda images: encoder(images, training=False))


def _pixels(images: tf.Tensor) -> tf.Tensor:
    side = images.shape[1]
    if side > _PIXEL_SIDE:
        side = _PIXEL_SIDE
        images = tf.image.resize(images, [side, side], method="area")
    return tf.reshape(images, [-1, side * side * 3])
