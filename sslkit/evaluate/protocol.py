"""How an encoder is evaluated: which numbers, on which data, with which baselines."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf

from sslkit.api import (
    Backbone,
    Evaluation,
    Features,
    Objective,
    PositiveFloat,
    PositiveInt,
    Seed,
    checked,
)
from sslkit.errors import UserError
from sslkit.evaluate.features import FrozenEncoder, frozen
from sslkit.evaluate.health import health
from sslkit.evaluate.knn import KNN
from sslkit.evaluate.linear import Linear
from sslkit.evaluate.logits import Logits
from sslkit.evaluate.probe import KnnProbe
from sslkit.evaluate.results import PIXELS, TRAINED, UNTRAINED, Results, Row
from sslkit.evaluate.scores import Names, check, scores_of, try_out
from sslkit.evaluate.splits import Side, Splits, Unlabelled

if TYPE_CHECKING:
    from sslkit.data.dataset import Data

_PIXEL_SIDE = 32
_NEIGHBOURS, _TEMPERATURE = (20, 200), 0.07
_SIDES: tuple[Side, ...] = ("bank", "test")


@checked
def evaluate(
    objective: Objective,
    data: Data,
    *,
    size: PositiveInt,
    seed: Seed,
    untrained: Callable[[], Backbone] | None = None,
    bank: str | None = None,
    protocols: Sequence[Evaluation] | None = None,
    knn_neighbours: Sequence[PositiveInt] = _NEIGHBOURS,
    knn_temperature: PositiveFloat = _TEMPERATURE,
    linear: bool = True,
    classifier: bool = True,
    baselines: bool = True,
    batch_size: PositiveInt = 256,
    train_limit: PositiveInt | None = None,
    test_limit: PositiveInt | None = None,
) -> Planned:
    """Prepares the evaluation of a frozen encoder; nothing is read or encoded yet.

    With labels, each protocol is measured on the encoder's features and, as baselines,
    on those of an untrained encoder and on raw pixels (the same views, at most 32 px,
    flattened). Unless a recipe names others, the protocols are kNN, a linear probe, and
    the objective's own classifier if it has one. With or without labels, the health of
    the features is measured. Images are central crops without augmentation; the encoder
    runs in inference mode. Memory holds the features of one split of one representation
    at a time. Examples without a label are left out of the accuracies, and the notes
    say how many there were.

    Args:
        objective: built; its `encoder` is evaluated.
        data: its `test` split is scored.
        size: side of the views, in pixels.
        seed: fixes the linear probe's held-out part and order.
        untrained: builds a freshly initialised encoder, the baseline; None leaves
            that baseline out.
        bank: the name of the split that is the bank of kNN and on which the linear
            probe is fitted; None for the split that was trained on, as in most
            publications. For a run on unlabelled images, name a labelled split of the
            same data.
        protocols: what is measured, such as `(@evaluations.knn(),
            @evaluations.linear(), @evaluations.logits())`, which is also the meaning of
            None.
        knn_neighbours: `evaluations.knn.neighbours`, if `protocols` is None.
        knn_temperature: `evaluations.knn.temperature`, if `protocols` is None.
        linear: whether there is a linear probe, if `protocols` is None.
        classifier: whether to measure protocols that read the logits of the objective's
            own classifier, if it has one; on other data than the run's they mean
            nothing.
        baselines: whether to measure baselines too.
        batch_size: images encoded at once.
        train_limit: examples of the bank's split to use, a fixed choice from all of it;
            None for all.
        test_limit: test examples to score, chosen in the same way.

    Raises:
        UserError: if `protocols` is given together with a setting that is for None.
    """
    named = protocols is not None
    if protocols is None:
        protocols = [
            KNN(neighbours=knn_neighbours, temperature=knn_temperature),
            *([Linear()] if linear else []),
            Logits(),
        ]
    elif (*knn_neighbours, knn_temperature, linear) != (
        *_NEIGHBOURS,
        _TEMPERATURE,
        True,
    ):
        raise UserError(
            "evaluate.protocols names what is measured, so evaluate.knn_neighbours, "
            "evaluate.knn_temperature and evaluate.linear have no effect; leave them "
            "out, and bind evaluations.knn.neighbours and the like"
        )
    return Planned(
        objective=objective,
        splits=Splits(data, bank, train_limit, test_limit, batch_size),
        size=size,
        seed=seed,
        untrained=untrained if baselines else None,
        protocols=tuple(protocols),
        named=named,
        classifier=classifier and objective.classes is not None,
        pixels=baselines,
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Planned:
    """An evaluation that is prepared and not yet made; see `evaluate`."""

    objective: Objective
    splits: Splits
    size: int
    seed: int
    untrained: Callable[[], Backbone] | None
    protocols: tuple[Evaluation, ...]
    named: bool
    classifier: bool
    pixels: bool

    @property
    def of_features(self) -> list[Evaluation]:
        """Protocols that read features."""
        return [one for one in self.protocols if one.reads == "features"]

    @property
    def of_logits(self) -> list[Evaluation]:
        """Protocols that read the classifier's logits; empty if logits are not used."""
        wanted = self.protocols if self.classifier else ()
        return [one for one in wanted if one.reads == "logits"]

    def check(self) -> Unlabelled | None:
        """Checks splits, labels and protocols, before a run that may take hours.

        Returns:
            Why accuracies cannot be measured; None if they can.

        Raises:
            UserError: if the data has more classes than the classifier, labelled data
                has no test split, a bank that was named has no labels, a protocol lacks
                something or does not work, or two have results of one name.
        """
        check(self.protocols)
        why_not = self.splits.unlabelled()
        if why_not is None:
            try_out([*self.of_features, *self.of_logits])
            if self.of_logits:
                self._check_classes()
        return why_not

    def probe(self) -> KnnProbe:
        """Returns a small kNN evaluation with the same bank, to use during training."""

        def encode(images: tf.Tensor) -> tf.Tensor:
            return self.objective.encoder(images, training=False)

        return KnnProbe(
            encode, self.splits.data, size=self.size, bank_split=self.splits.bank
        )

    def measure(self) -> Results:
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
        if self.pixels and self.of_features:
            encoders[PIXELS] = frozen(_pixels)

        rows: list[Row] = []
        found = {}
        notes: tuple[str, ...] = ()
        for name, encode in encoders.items():
            bank, test = (self._features(side, encode) for side in _SIDES)
            if name != PIXELS:
                found[name] = health(test.features)
            notes = self._left_out(bank, test)
            bank, test = bank.labelled(), test.labelled()
            rows += self._rows(name, self.of_features, bank, test)
        if self.of_logits:
            test = self._features("test", frozen(self.objective.logits)).labelled()
            nothing = Features(test.features[:0], test.label[:0], test.index[:0])
            rows += self._rows(TRAINED, self.of_logits, nothing, test)
        return Results(tuple(rows), found, "test", notes + self._without_classifier())

    def _rows(
        self,
        representation: str,
        protocols: Sequence[Evaluation],
        bank: Features,
        test: Features,
    ) -> list[Row]:
        names = Names()
        rows = []
        for one in protocols:
            scores = scores_of(one, bank, test, classes=self._classes, seed=self.seed)
            names.claim(one, scores)
            for score in scores:
                numbers = {name: float(n) for name, n in score.numbers.items()}
                sizes = int(score.n_train), int(score.n_test)
                row = Row(score.protocol, representation, numbers, *sizes, score.detail)
                rows.append(row)
        return rows

    @property
    def _classes(self) -> int:
        """The number of classes of the data, if there are labels."""
        return max(self.splits.source(side).classes or 0 for side in _SIDES)

    def _features(self, side: Side, encode: FrozenEncoder) -> Features:
        return self.splits.features(side, encode, size=self.size)

    def _left_out(self, bank: Features, test: Features) -> tuple[str, ...]:
        sides: dict[Side, Features] = {"bank": bank, "test": test}
        return tuple(
            f"{missing:,} of {len(found.label):,} examples of "
            f"{self.splits.source(side).name} have no label and are left out of "
            "accuracies"
            for side, found in sides.items()
            if (missing := int(np.sum(found.label < 0)))
        )

    def _without_classifier(self) -> tuple[str, ...]:
        names = [
            type(one).__name__
            for one in self.protocols
            if one.reads == "logits" and self.named and self.objective.classes is None
        ]
        left = f"there is no classifier, so {', '.join(names)} is left out"
        return (left,) if names else ()

    def _check_classes(self) -> None:
        classes = self._classes
        if self.objective.classes is not None and classes > self.objective.classes:
            raise UserError(
                f"the data has {classes} classes and the classifier "
                f"{self.objective.classes}; evaluate on the data it was trained for"
            )

    def _without_labels(
        self, encoders: Mapping[str, FrozenEncoder], why_not: Unlabelled
    ) -> Results:
        notes = [
            f"{why_not.why}, so no accuracy is measured, only the health of the "
            "features",
            why_not.found,
            why_not.advice,
        ]
        side: Side = "test"
        try:
            self.splits.source("test")
        except UserError:
            side = "bank"
            notes.append("there is no test split, so health is that of training images")
        found = {
            name: health(self._features(side, encode).features)
            for name, encode in encoders.items()
        }
        name = "train" if side == "bank" else side
        return Results((), found, name, tuple(notes))


def _inference(encoder: Backbone) -> FrozenEncoder:
    return frozen(lambda images: encoder(images, training=False))


def _pixels(images: tf.Tensor) -> tf.Tensor:
    side = images.shape[1]
    if side > _PIXEL_SIDE:
        side = _PIXEL_SIDE
        images = tf.image.resize(images, [side, side], method="area")
    return tf.reshape(images, [-1, side * side * 3])
