"""The accuracy of the objective's own classifier, which the run has trained."""

from __future__ import annotations

from sslkit.api import Evaluation, Features, Score, accuracy
from sslkit.evaluation import Reads

_PROTOCOL = "classifier (the objective's own head)"


class Logits(Evaluation):
    """Scores the classifier that the run has trained, if there is one."""

    reads: Reads = "logits"

    def measure(
        self, bank: Features, test: Features, *, classes: int, seed: int
    ) -> list[Score]:
        """Scores the logits; see `Evaluation`."""
        del bank, seed
        found = accuracy(test.features, test.label)
        numbers = found.numbers(classes=classes)
        return [Score(_PROTOCOL, numbers, 0, len(test.label))]
