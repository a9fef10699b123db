"""Which numbers are measured, on what, and against which baselines."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

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
from sslkit.evaluate.features import Features, FrozenEncoder, extract_source, frozen
from sslkit.evaluate.health import health
from sslkit.evaluate.knn import knn_accuracies, knn_protocol
from sslkit.evaluate.linear import linear_probe
from sslkit.evaluate.report import PIXELS, TRAINED, UNTRAINED, Report, Row

if TYPE_CHECKING:
    from sslkit.data.dataset import Data, Part

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
    knn_neighbours: Sequence[PositiveInt] = (20, 200),
    knn_temperature: PositiveFloat = 0.07,
    linear: bool = True,
    classifier: bool = True,
    baselines: bool = True,
    batch_size: PositiveInt = 256,
    train_limit: PositiveInt | None = None,
    test_limit: PositiveInt | None = None,
) -> Report:
    """Evaluates a frozen encoder with fixed protocols, each named in the report.

    With labels: kNN and a linear probe on the encoder's features, the objective's own
    classifier where it has one, and as baselines the same kNN and probe on an
    untrained encoder and on raw pixels (the same views, at most 32 px, flattened).
    With or without labels: the health of the features. Images are central crops
    without augmentation; the encoder runs in inference mode. Memory holds the features
    of the training split of one representation at a time.

    Args:
        objective: built; its `encoder` is evaluated.
        data: its `train` split is the bank and fits the probe, its `test` split is
            scored.
        size: side of the views, in pixels.
        seed: fixes the linear probe's held-out part and order.
        untrained: builds a freshly initialised encoder, the baseline; None leaves
            that baseline out.
        knn_neighbours: neighbours that vote, a row for each number; one that exceeds
            the training split is left out, or clipped if there is no other.
        knn_temperature: divides cosine similarities in the vote's exponent.
        linear: whether to fit linear probes.
        classifier: whether to score the objective's own classifier, where it has one;
            on other data than the run's it means nothing.
        baselines: whether to measure baselines too.
        batch_size: images encoded at once.
        train_limit: training examples to use, a fixed mixed choice; None is all.
        test_limit: test examples to score, likewise.

    Returns:
        The report.

    Raises:
        UserError: if the data has more classes than the classifier, the labelled data
            has no test split, or an example cannot be read.
    """
    limits = {"train": train_limit, "test": test_limit}

    def split(name: Part, encode: FrozenEncoder) -> Features:
        return extract_source(
            encode,
            data.source(name),
            size=size,
            batch_size=batch_size,
            limit=limits[name],
        )

    labelled = data.source("train").classes is not None
    classifier = classifier and objective.classes is not None
    if labelled and classifier:
        _check_classes(objective, data)
    encoders: dict[str, FrozenEncoder] = {TRAINED: _inference(objective.encoder)}
    if baselines and untrained is not None:
        encoders[UNTRAINED] = _inference(untrained())
    if not labelled:
        return _without_labels(data, encoders, split)
    if baselines:
        encoders[PIXELS] = frozen(_pixels)

    rows: list[Row] = []
    found = {}
    for name, encode in encoders.items():
        train, test = split("train", encode), split("test", encode)
        rows += _knn(name, train, test, knn_neighbours, knn_temperature)
        if linear:
            rows.append(_linear(name, train, test, seed))
        if name != PIXELS:
            found[name] = health(test.features)
    if classifier:
        rows.append(_classifier(split("test", frozen(objective.logits))))
    return Report(tuple(rows), found, "test")


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


def _check_classes(objective: Objective, data: Data) -> None:
    classes = max(data.source("train").classes or 0, data.source("test").classes or 0)
    if objective.classes is not None and classes > objective.classes:
        raise UserError(
            f"the data has {classes} classes and the classifier "
            f"{objective.classes}; evaluate on the data it was trained for"
        )


def _without_labels(
    data: Data,
    encoders: dict[str, FrozenEncoder],
    split: Callable[[Part, FrozenEncoder], Features],
) -> Report:
    notes = [
        "the data has no labels: accuracies cannot be measured, only the health of "
        "the features"
    ]
    name: Part = "test"
    try:
        data.source("test")
    except UserError:
        name = "train"
        notes.append("there is no test split: health is of training images")
    found = {
        representation: health(split(name, encode).features)
        for representation, encode in encoders.items()
    }
    return Report((), found, name, tuple(notes))
