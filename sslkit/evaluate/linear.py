"""The linear probe: how well a linear classifier predicts labels from features.

What is minimised is the same for all sizes of data: the mean cross entropy plus
strength / 2 * |weights|^2, on standardised features. There are two solvers:
scikit-learn's lbfgs, which is exact but uses all of the data in each step, and
minibatches of Adam if lbfgs would take too long. Adam's learning rate is swept together
with the strength, all in one pass over the features; lbfgs has no learning rate.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from sslkit.api import Accuracy, Evaluation, Features, Score, UserError, accuracy
from sslkit.evaluate.softmax_regression import Setting, fit_minibatches

_PROTOCOL = "linear (logistic regression on frozen features)"
STRENGTHS = (1.0, 0.1, 1e-2, 1e-3, 1e-4)
"""L2 strengths that are tried, per example; scikit-learn's C is 1 / (strength * n)."""
RATES = (0.03, 0.1, 0.3)
"""Learning rates of Adam that are tried, times the root of the features' width."""
_DEFAULT = Setting(rate=0.1, strength=1e-2)
_HELD_OUT = 5
"""One in five examples of each class is held out to choose the strength."""
_LBFGS_WORK = 2e9
"""Examples * features * classes up to which lbfgs is used: seconds per iteration."""
_LBFGS_EXAMPLES = 100_000
_LBFGS_ITERATIONS = 300


class Linear(Evaluation):
    """Logistic regression on frozen features; its L2 is chosen on the bank only.

    See `linear_probe`.
    """

    def measure(
        self, bank: Features, test: Features, *, classes: int, seed: int
    ) -> list[Score]:
        """Fits and scores; see `Evaluation`."""
        probe = linear_probe(bank, test, seed=seed)
        numbers = probe.accuracy.numbers(classes=classes)
        sizes = len(bank.label), len(test.label)
        return [Score(_PROTOCOL, numbers, *sizes, detail=probe.chosen)]


class LinearProbe(NamedTuple):
    """The result of a linear probe."""

    accuracy: Accuracy
    strength: float
    """The L2 strength that was chosen."""
    rate: float | None
    """The learning rate that was chosen, times the root of the features' width; None
    with lbfgs, which needs none."""
    solver: str
    """`lbfgs` or `minibatch Adam`."""

    @property
    def chosen(self) -> str:
        """What was chosen, in words."""
        rate = "" if self.rate is None else f", rate {self.rate:g}"
        return f"L2 {self.strength:g}{rate}, {self.solver}"


def linear_probe(train: Features, test: Features, *, seed: int) -> LinearProbe:
    """Fits softmax regression on frozen training features and scores test features.

    Features are standardised with the training split's mean and deviation. The L2
    strength is chosen among `STRENGTHS` on a held-out fifth of each training class;
    then the classifier is fitted on the whole training split. Nothing is chosen on the
    test split. Above 100 000 examples, or 2e9 examples * features * classes,
    minibatches of Adam replace lbfgs, and the learning rate is chosen among `RATES`
    together with the strength.

    Args:
        train: labelled features.
        test: labelled features.
        seed: fixes the held-out examples and the order of minibatches; the result
            depends only on the features and the seed.

    Returns:
        Top-1 and top-5 on `test`, and the settings that were chosen.

    Raises:
        UserError: if a label is missing or there is only one class.
    """
    for split, label in (("training", train.label), ("test", test.label)):
        if (label < 0).any():
            raise UserError(
                f"a linear probe needs labels, and some {split} examples have none; "
                "use a labelled data set"
            )
    if len(np.unique(train.label)) < 2:
        raise UserError(
            f"a linear probe needs two classes or more, and all {len(train.label)} "
            "training examples are of one class; use more examples"
        )
    classes = 1 + int(max(train.label.max(), test.label.max()))
    train_x, test_x = standardise(train.features, test.features)
    examples, dim = train_x.shape
    small = examples <= _LBFGS_EXAMPLES and examples * dim * classes <= _LBFGS_WORK
    solver = "lbfgs" if small else "minibatch Adam"
    chosen = _choose(train_x, train.label, classes, seed, solver)
    scores = next(
        _fit_and_score(train_x, train.label, test_x, classes, [chosen], seed, solver)
    )
    rate = None if small else chosen.rate
    return LinearProbe(accuracy(scores, test.label), chosen.strength, rate, solver)


def standardise(bank: np.ndarray, test: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Brings features to mean 0 and deviation 1 over the bank.

    Args:
        bank: float32 [n, dim].
        test: float32 [m, dim].

    Returns:
        Both, as new arrays.
    """
    mean = bank.mean(axis=0, dtype=np.float64).astype(np.float32)
    deviation = np.maximum(bank.std(axis=0, dtype=np.float64), 1e-6)
    wide = deviation.astype(np.float32)

    def of(features: np.ndarray) -> np.ndarray:
        # One copy of what may be most of the memory.
        centred = features - mean
        centred /= wide
        return centred

    return of(bank), of(test)


def _choose(
    x: np.ndarray, label: np.ndarray, classes: int, seed: int, solver: str
) -> Setting:
    """Returns the best setting when held out; in a tie, more L2, then a lower rate."""
    held = _held_out(label, seed)
    if not held.any():
        return _DEFAULT
    rates = (_DEFAULT.rate,) if solver == "lbfgs" else RATES
    settings = [Setting(rate, strength) for strength in STRENGTHS for rate in rates]
    scores = _fit_and_score(
        x[~held], label[~held], x[held], classes, settings, seed, solver
    )
    top1 = [accuracy(one, label[held]).top1 for one in scores]
    return settings[int(np.argmax(top1))]


def _held_out(label: np.ndarray, seed: int) -> np.ndarray:
    """Marks a fifth of each class, rounded down: no class loses its last example."""
    held = np.zeros(len(label), bool)
    random = np.random.default_rng(seed)
    for number in np.unique(label):
        members = random.permutation(np.flatnonzero(label == number))
        held[members[: len(members) // _HELD_OUT]] = True
    return held


def _fit_and_score(
    x: np.ndarray,
    label: np.ndarray,
    test_x: np.ndarray,
    classes: int,
    settings: Sequence[Setting],
    seed: int,
    solver: str,
) -> Iterator[np.ndarray]:
    """Yields float32 scores [n_test, classes], one array per setting."""
    if solver == "lbfgs":
        strengths = [setting.strength for setting in settings]
        yield from fit_lbfgs(x, label, test_x, classes, strengths)
    else:
        kernels, biases = fit_minibatches(
            x, label, classes=classes, settings=settings, seed=seed
        )
        for kernel, bias in zip(kernels, biases, strict=True):
            yield test_x @ kernel + bias


def fit_lbfgs(
    x: np.ndarray,
    label: np.ndarray,
    test_x: np.ndarray,
    classes: int,
    strengths: Sequence[float],
) -> Iterator[np.ndarray]:
    """Fits softmax regression to its minimum, and scores test features.

    Args:
        x: float32 [n, dim].
        label: int [n], two classes or more.
        test_x: float32 [m, dim].
        classes: of the data.
        strengths: of L2, per example; from strong to weak each fit starts where the
            one before ended.

    Yields:
        For each strength float32 [m, classes]; -inf for classes without an example.
    """
    # Imported here: it takes a second, and most commands do not need it.
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits

    model = LogisticRegression(max_iter=_LBFGS_ITERATIONS, warm_start=True)
    for strength in strengths:
        model.C = 1.0 / (strength * len(x))
        # Its steps are too short to divide between threads: two threads took 5 times as
        # long as one for digits, and 4 times for the pixels of 20,000 images.
        with warnings.catch_warnings(), threadpool_limits(1):
            # Weak L2 on separable features has its minimum far away; accuracy is
            # settled long before, and the held-out part tests what was reached.
            warnings.simplefilter("ignore", ConvergenceWarning)
            # With few images of many classes, it warns that this looks like a
            # regression.
            warnings.filterwarnings("ignore", "The number of unique classes")
            model.fit(x, label)
        found = test_x @ model.coef_.T + model.intercept_
        if len(model.classes_) == 2:
            found = np.concatenate([np.zeros_like(found), found], axis=1)
        scores = np.full((len(test_x), classes), -np.inf, np.float32)
        scores[:, model.classes_] = found
        yield scores
