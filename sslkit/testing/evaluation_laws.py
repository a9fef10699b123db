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
"""Spreads of features around their classes' middles, which are 4 apart."""


def _given(evaluation: Evaluation, spread: float) -> tuple[Features, Features]:
    """Returns a bank and what is scored; the middles of the classes are the same."""
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
            f"of {len(bank.label)} and {len(test.label)} made-up examples {error}",
            "Return a list of Score: one line of text, finite numbers by name, counts",
        ) from error


def _numbers(scores: list[Score]) -> list[tuple[str, dict[str, float], int, int]]:
    return [(s.protocol, dict(s.numbers), s.n_train, s.n_test) for s in scores]


def _healthy(evaluation: Evaluation, spread: float) -> list[Score]:
    """Returns scores; none where the first law says what is wrong with them."""
    try:
        return scores_of(
            evaluation, *_given(evaluation, spread), classes=_CLASSES, seed=0
        )
    except UserError:
        return []


def returns_scores(subject: Subject) -> None:
    """A result that nobody could read, or NaN, came out of hours of training."""
    evaluation = subject.make()
    try:
        check([evaluation])
    except UserError as error:
        raise Broken(f"it cannot be used: {error}", "Mend what it says") from error
    for spread in (_FAR, _NEAR):
        try:
            scores = _asked(evaluation, *_given(evaluation, spread))
        except UserError as error:
            raise Broken(
                f"it refuses {_BANK} examples of {_CLASSES} classes: {error}",
                "Give options to `laws` with which it needs fewer",
            ) from error
        names = [score.protocol for score in scores]
        if not names or len(set(names)) < len(names):
            raise Broken(
                f"its protocols are {names}",
                "Return a score at least, and name each by all of its settings",
            )


def gives_the_same_numbers_each_time(subject: Subject) -> None:
    """An evaluation that was made again gave another number of the same encoder."""
    evaluation = subject.make()
    first = _healthy(evaluation, _NEAR)
    for again in (_healthy(evaluation, _NEAR), _healthy(subject.make(), _NEAR)):
        if _numbers(again) != _numbers(first):
            raise Broken(
                f"it gives {_numbers(first)} and then {_numbers(again)}",
                "Draw by `seed` alone, and keep nothing from one call to the next",
            )


def leaves_the_features_alone(subject: Subject) -> None:
    """Features that one protocol normalised in place were another's, too."""
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
                "it changes the arrays that it is given",
                "Work on a copy: the other protocols of a recipe get the same arrays",
            )


def tells_good_features_from_bad(subject: Subject) -> None:
    """Labels that were not those of their features gave the number of chance."""
    evaluation = subject.make()
    good = _healthy(evaluation, _FAR)
    bad = _healthy(evaluation, _NOISE)
    for one, other in zip(good, bad, strict=False):
        top1 = one.numbers.get("top1")
        if top1 is not None and top1 < 0.9:
            raise Broken(
                f"of features that show their classes plainly top1 is {top1:.3f} by "
                f"{one.protocol!r}",
                "See that features and labels stay in one order",
            )
        if dict(one.numbers) == dict(other.numbers):
            raise Broken(
                f"{one.protocol!r} is {dict(one.numbers)} of features that show their "
                "classes, and of noise",
                "Let it depend on the features",
            )


def learns_nothing_from_what_it_scores(subject: Subject) -> None:
    """A probe that was fitted on the test split, too, was nearly perfect."""
    evaluation = subject.make()
    if not _healthy(evaluation, _NEAR):
        return
    bank, test = (_shuffled(given) for given in _given(evaluation, _NEAR))
    for score in _asked(evaluation, bank, test):
        top1 = score.numbers.get("top1", 0.0)
        if top1 > 0.4:
            raise Broken(
                f"of labels by chance, in {_CLASSES} classes, top1 is {top1:.3f} by "
                f"{score.protocol!r}",
                "Fit and choose by the bank alone",
            )


def takes_a_bank_that_lacks_a_class(subject: Subject) -> None:
    """A class that a limit had left out of the bank ended an evaluation."""
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
                f"of a bank without class {lacking} {error}",
                "Go by `classes`, not by the labels that are there",
            ) from error
        except UserError:
            pass  # It says so in a line.


def copes_with_equal_features(subject: Subject) -> None:
    """A collapsed encoder, which says the same of all images, gave NaN."""
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
            f"of features that are all 0 {describe(error)}",
            "Divide by no length or deviation without a floor, such as 1e-12",
        ) from error
    except UserError:
        pass  # It says so in a line.


def _arrays(*given: Features) -> list[np.ndarray]:
    return [array for one in given for array in (one.features, one.label, one.index)]


def _shuffled(given: Features) -> Features:
    """Returns the same features with labels by chance."""
    label = np.random.default_rng(len(given.label)).permutation(given.label)
    return Features(given.features, label, given.index)
