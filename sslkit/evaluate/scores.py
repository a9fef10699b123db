"""Calls evaluations and checks the scores that they return."""

from __future__ import annotations

import math
import numbers
from collections.abc import Iterable
from typing import Any, get_args

import numpy as np

from sslkit.api import Evaluation, Features, Score, UserError
from sslkit.evaluation import RESERVED, Reads, plain
from sslkit.plugins import describe

_SHARES = ("top1", "top5")
_CLASSES, _BANK, _TEST = 10, 100, 40


class Flawed(UserError):
    """An evaluation breaks the contract of `Evaluation`, which is a bug in it."""


def check(evaluations: Iterable[Evaluation]) -> None:
    """Checks that evaluations can be used here; nothing is measured yet.

    Raises:
        UserError: if one cannot, or its `reads` is not a known name.
    """
    for evaluation in evaluations:
        if evaluation.reads not in get_args(Reads):
            raise Flawed(
                f"the evaluation {type(evaluation).__name__} reads "
                f"{evaluation.reads!r}; `reads` must be one of {get_args(Reads)}"
            )
        evaluation.check()


def scores_of(
    evaluation: Evaluation, bank: Features, test: Features, *, classes: int, seed: int
) -> list[Score]:
    """Returns the scores of one evaluation; arguments as of `Evaluation.measure`.

    Raises:
        UserError: if it refuses these features.
        Flawed: if it fails, or does not return a list of scores with finite numbers.
    """
    who = type(evaluation).__name__
    try:
        found = evaluation.measure(
            _read_only(bank), _read_only(test), classes=classes, seed=seed
        )
    except UserError:
        raise
    except Exception as error:
        raise Flawed(
            f"the evaluation {who} fails: {describe(error)}. Correct it, or leave it "
            "out of evaluate.protocols"
        ) from error
    if not isinstance(found, list | tuple) or not all(
        isinstance(score, Score) for score in found
    ):
        raise Flawed(
            f"the evaluation {who} returns {_shown(found)}; it must be a list of "
            "sslkit.api.Score"
        )
    for score in found:
        problem = _problem(score)
        if problem is not None:
            raise Flawed(f"the evaluation {who} returns {problem}")
    return list(found)


class Names:
    """The protocols of one representation, each of which belongs to one evaluation."""

    def __init__(self) -> None:
        """Begins with none."""
        self._owners: dict[str, str] = {}

    def claim(self, evaluation: Evaluation, scores: Iterable[Score]) -> None:
        """Registers the names of an evaluation's scores.

        Raises:
            Flawed: if one of them is in use already.
        """
        who = type(evaluation).__name__
        for score in scores:
            name = plain(score.protocol)
            if name in self._owners:
                raise Flawed(
                    f"two results would be called {score.protocol!r}, of "
                    f"{self._owners[name]} and of {who} in evaluate.protocols; leave "
                    "one out, or give them protocols with different names"
                )
            self._owners[name] = who


def try_out(evaluations: Iterable[Evaluation]) -> None:
    """Tries evaluations on synthetic features, before anything expensive.

    An evaluation may refuse them with a UserError, and still accept those of a run.

    Raises:
        UserError: if one fails or does not return scores, or two have results of one
            name.
    """
    names = Names()
    test = synthetic_features(_TEST, seed=2)
    for evaluation in evaluations:
        bank = synthetic_features(0 if evaluation.reads == "logits" else _BANK, seed=1)
        try:
            scores = scores_of(evaluation, bank, test, classes=_CLASSES, seed=0)
        except Flawed:
            raise
        except UserError:
            continue
        names.claim(evaluation, scores)


def synthetic_features(examples: int, *, seed: int, spread: float = 0.1) -> Features:
    """Returns synthetic features of ten classes that can be told apart.

    Args:
        examples: how many; the classes differ in size by one at most.
        seed: of the noise around the classes' centres, which are always the same.
        spread: of the noise; the centres are about 4 apart.

    Returns:
        float32 [examples, 10], in a mixed order.
    """
    random = np.random.default_rng([seed, 1])
    label = random.permutation(np.arange(examples) % _CLASSES).astype(np.int32)
    middle = 3 * np.eye(_CLASSES)[label]
    features = middle + spread * random.normal(size=middle.shape)
    return Features(features.astype(np.float32), label, np.arange(examples))


def _read_only(features: Features) -> Features:
    def guarded(array: np.ndarray) -> np.ndarray:
        array = array.view()
        array.flags.writeable = False
        return array

    return Features(
        guarded(features.features), guarded(features.label), guarded(features.index)
    )


def _shown(found: Any) -> str:
    text = " ".join(repr(found).split())
    return text if len(text) <= 80 else f"{text[:77]}..."


def _problem(score: Score) -> str | None:
    """Returns what is wrong with a score, and what it must be; None if it is fine."""
    name = score.protocol
    if not isinstance(name, str) or not plain(name) or not name.isprintable():
        return f"a score whose protocol is {name!r}; it must be one line of text"
    try:
        given = dict(score.numbers)
    except (TypeError, ValueError):
        return f"numbers of {name!r} that are {_shown(score.numbers)}, not a mapping"
    if not given:
        return f"no number of {name!r}; give one at least, such as top1"
    for key in given:
        if not isinstance(key, str) or not plain(key):
            return f"a number of {name!r} called {key!r}; give it a name"
    if len(set(map(plain, given))) < len(given):
        return f"numbers of {name!r} with one name in curves: {', '.join(given)}"
    for key, value in given.items():
        if key in RESERVED:
            return (
                f"a number of {name!r} called {key!r}, which results use for something "
                "else; give it another name"
            )
        if not isinstance(value, numbers.Real) or isinstance(value, bool):
            return f"{key} of {name!r} that is {_shown(value)}; it must be a number"
        if not math.isfinite(value):
            return f"{key} of {name!r} that is {value}; it must be finite"
        if key in _SHARES and not 0 <= value <= 1:
            return f"{key} of {name!r} that is {value}; it must be a share in [0, 1]"
    for key, count in (("n_train", score.n_train), ("n_test", score.n_test)):
        whole = isinstance(count, numbers.Integral) and not isinstance(count, bool)
        if not whole or count < 0:
            return f"{key} of {name!r} that is {_shown(count)}; it counts examples"
    if not isinstance(score.detail, str):
        return f"a detail of {name!r} that is {_shown(score.detail)}, not text"
    return None
