"""Laws of evaluations."""

from __future__ import annotations

import numpy as np

from sslkit.api import Evaluation, Features, Score, UserError
from sslkit.evaluate.scores import Flawed, check, scores_of, synthetic_features
from sslkit.plugins import describe
from sslkit.testing.law import Broken, Subject

_CLASSES = 10
_BANK, _TEST = 200, 100
_FAR, _NEAR, _NOISE = 0.1, 1.0, 100.0
"""Spreads of features around the means of their classes, whose distance is 4."""


def _given(evaluation: Evaluation, spread: float) -> tuple[Features, Features]:
    """Returns a bank and test features, with the same class means."""
    size = _BANK if evaluation.reads == "features" else 0
    return (
        synthetic_features(size, seed=1, spread=spread),
        synthetic_features(_TEST, seed=2, spread=spread),
    )


def _asked(
    evaluation: Evaluation, bank: Features, test: Features, *, seed: int = 0
) -> list[Score]:
    try:
        return scores_of(evaluation, bank, test, classes=_CLASSES, seed=seed)
    except Flawed as error:
        raise Broken(
            f"for {len(bank.label)} and {len(test.label)} generated examples {error}",
            "Return a list of Score: one line of text, finite numbers by name, counts",
        ) from error


def _numbers(scores: list[Score]) -> list[tuple[str, dict[str, float], int, int]]:
    return [(s.protocol, dict(s.numbers), s.n_train, s.n_test) for s in scores]


def _healthy(evaluation: Evaluation, spread: float) -> list[Score]:
    """Returns scores; an empty list if there are none, which the first law reports."""
    try:
        return scores_of(
            evaluation, *_given(evaluation, spread), classes=_CLASSES, seed=0
        )
    except UserError:
        return []


def returns_scores(subject: Subject) -> None:
    """After hours of training, the result could not be read or was NaN."""
    evaluation = subject.make()
    try:
        check([evaluation])
    except UserError as error:
        raise Broken(
            f"it cannot be used: {error}", "Repair what the message names"
        ) from error
    for spread in (_FAR, _NEAR):
        try:
            scores = _asked(evaluation, *_given(evaluation, spread))
        except UserError as error:
            raise Broken(
                f"it refuses {_BANK} examples of {_CLASSES} classes: {error}",
                "Give `laws` options for which these are enough",
            ) from error
        names = [score.protocol for score in scores]
        if not names or len(set(names)) < len(names):
            raise Broken(
                f"its protocols are {names}",
                "Return at least one score, and put all settings into its name",
            )


def gives_the_same_numbers_each_time(subject: Subject) -> None:
    """A second evaluation of the same encoder gave another number."""
    evaluation = subject.make()
    first = _healthy(evaluation, _NEAR)
    for again in (_healthy(evaluation, _NEAR), _healthy(subject.make(), _NEAR)):
        if _numbers(again) != _numbers(first):
            raise Broken(
                f"it gives {_numbers(first)} and then {_numbers(again)}",
                "Draw only by `seed`, and keep nothing from one call to the next",
            )


def does_not_change_the_features(subject: Subject) -> None:
    """One protocol normalised features in place that others used, too."""
    evaluation = subject.make()
    if not _healthy(evaluation, _NEAR):
        return
    bank, test = _given(evaluation, _NEAR)
    before = [array.copy() for array in _arrays(bank, test)]
    try:
        evaluation.measure(bank, test, classes=_CLASSES, seed=0)
    except UserError:
        return
    for then, now in zip(before, _arrays(bank, test), strict=True):
        if not np.array_equal(then, now):
            raise Broken(
                "it changes the arrays that it gets",
                "Work on a copy: the other protocols of a recipe get the same arrays",
            )


def tells_good_features_from_bad(subject: Subject) -> None:
    """Features and labels were in different orders, and the accuracy was chance."""
    evaluation = subject.make()
    good = _healthy(evaluation, _FAR)
    bad = _healthy(evaluation, _NOISE)
    for one, other in zip(good, bad, strict=False):
        top1 = one.numbers.get("top1")
        if top1 is not None and top1 < 0.9:
            raise Broken(
                f"for features that are easy to classify, top1 is {top1:.3f} by "
                f"{one.protocol!r}",
                "Keep features and labels in the same order",
            )
        if dict(one.numbers) == dict(other.numbers):
            raise Broken(
                f"{one.protocol!r} is {dict(one.numbers)} for features that are easy "
                "to classify, and also for noise",
                "Compute the numbers from the features",
            )


def does_not_learn_from_the_test_split(subject: Subject) -> None:
    """A probe was fitted on the test split, too, and was nearly perfect."""
    evaluation = subject.make()
    if not _healthy(evaluation, _NEAR):
        return
    bank, test = (_shuffled(given) for given in _given(evaluation, _NEAR))
    for score in _asked(evaluation, bank, test):
        top1 = score.numbers.get("top1", 0.0)
        if top1 > 0.4:
            raise Broken(
                f"for random labels of {_CLASSES} classes, top1 is {top1:.3f} by "
                f"{score.protocol!r}",
                "Fit and choose by the bank only",
            )


def accepts_a_bank_without_a_class(subject: Subject) -> None:
    """An evaluation failed because a limit had left a class out of the bank."""
    evaluation = subject.make()
    if not _healthy(evaluation, _FAR):
        return
    bank, test = _given(evaluation, _FAR)
    for lacking in (3, _CLASSES - 1):
        kept = bank.label != lacking
        part = Features(bank.features[kept], bank.label[kept], bank.index[kept])
        try:
            scores_of(evaluation, part, test, classes=_CLASSES, seed=0)
        except Flawed as error:
            raise Broken(
                f"for a bank without class {lacking} {error}",
                "Use `classes` as the number of classes, not the labels in the bank",
            ) from error
        except UserError:
            pass  # A one-line error is allowed.


def accepts_equal_features(subject: Subject) -> None:
    """A collapsed encoder, with equal features for all images, gave NaN."""
    evaluation = subject.make()
    if not _healthy(evaluation, _FAR):
        return
    bank, test = (
        Features(np.zeros_like(given.features), given.label, given.index)
        for given in _given(evaluation, _FAR)
    )
    try:
        scores_of(evaluation, bank, test, classes=_CLASSES, seed=0)
    except Flawed as error:
        raise Broken(
            f"for features that are all 0 {describe(error)}",
            "Before dividing by a length or a deviation, limit it from below, e.g. to "
            "1e-12",
        ) from error
    except UserError:
        pass  # A one-line error is allowed.


def _arrays(*given: Features) -> list[np.ndarray]:
    return [array for one in given for array in (one.features, one.label, one.index)]


def _shuffled(given: Features) -> Features:
    """Returns the same features with shuffled labels."""
    label = np.random.default_rng(len(given.label)).permutation(given.label)
    return Features(given.features, label, given.index)
