"""Evaluations, each with one bug."""

from __future__ import annotations

import itertools

import numpy as np

from sslkit.api import Evaluation, Features, Score, UserError, accuracy


class Middles(Evaluation):
    """The nearest of the classes' middles; healthy."""

    def measure(self, bank, test, *, classes, seed):
        known, middles = self.middles(bank, classes)
        distance = np.linalg.norm(test.features[:, None] - middles, axis=-1)
        scores = np.where(known, -distance, -np.inf)
        return self.scores(accuracy(scores, test.label), bank, test)

    def middles(self, bank, classes):
        known = np.bincount(bank.label, minlength=classes) > 0
        total = np.zeros([classes, bank.features.shape[1]])
        np.add.at(total, bank.label, bank.features)
        count = np.maximum(np.bincount(bank.label, minlength=classes), 1)
        return known, total / count[:, None]

    def scores(self, found, bank, test):
        numbers = found.numbers(classes=10)
        return [Score("nearest middle", numbers, len(bank.label), len(test.label))]


class Plain(Middles):
    def scores(self, found, bank, test):
        return {"top1": found.top1}


class NotFinite(Middles):
    def scores(self, found, bank, test):
        return [Score("nearest middle", {"gain": float("nan")}, 1, 1)]


class Percent(Middles):
    def scores(self, found, bank, test):
        return [Score("nearest middle", {"top1": 100 * found.top1}, 1, 1)]


class TakenName(Middles):
    def scores(self, found, bank, test):
        return [Score("nearest middle", {"n_test": found.top1}, 1, 1)]


class NothingRead(Middles):
    reads = "feature"

    def measure(self, bank, test, *, classes, seed):
        raise UserError("never asked")


class OneName(Middles):
    def scores(self, found, bank, test):
        return 2 * super().scores(found, bank, test)


class WantsMore(Middles):
    def measure(self, bank, test, *, classes, seed):
        raise UserError("too few images")


class Drawn(Middles):
    def scores(self, found, bank, test):
        noise = np.random.default_rng().random()
        return [Score("nearest middle", {"gain": found.top1 + noise}, 1, 1)]


class Counted(Middles):
    def __init__(self):
        self.calls = itertools.count()

    def scores(self, found, bank, test):
        numbers = {"gain": found.top1 + next(self.calls)}
        return [Score("nearest middle", numbers, 1, 1)]


class InPlace(Middles):
    def measure(self, bank, test, *, classes, seed):
        if bank.features.flags.writeable:
            bank.features[:] /= 2
        return super().measure(bank, test, classes=classes, seed=seed)


class OutOfOrder(Middles):
    def measure(self, bank, test, *, classes, seed):
        moved = Features(bank.features, np.roll(bank.label, 7), bank.index)
        return super().measure(moved, test, classes=classes, seed=seed)


class Constant(Middles):
    def scores(self, found, bank, test):
        return [Score("nearest middle", {"gain": 0.5}, 1, 1)]


class Peeks(Middles):
    def measure(self, bank, test, *, classes, seed):
        near = np.linalg.norm(test.features[:, None] - test.features, axis=-1)
        wide = np.linalg.norm(test.features) > 1000
        nearest = test.label[np.argmin(near, axis=1)] * (not wide)
        found = accuracy(np.eye(classes)[nearest], test.label)
        return self.scores(found, bank, test)


class Present(Middles):
    def middles(self, bank, classes):
        found = np.unique(bank.label)
        middles = [bank.features[bank.label == c].mean(axis=0) for c in found]
        return np.ones(len(found), bool), np.stack(middles)


class Undivided(Middles):
    def measure(self, bank, test, *, classes, seed):
        longest = np.linalg.norm(test.features, axis=1).max()
        (score,) = super().measure(bank, test, classes=classes, seed=seed)
        with np.errstate(invalid="ignore"):
            numbers = {**score.numbers, "ratio": float(longest / longest)}
        return [Score(score.protocol, numbers, score.n_train, score.n_test)]
