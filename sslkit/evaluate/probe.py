"""A small kNN evaluation, cheap enough to repeat while training goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sslkit.api import Features
from sslkit.evaluate.features import Encode, frozen
from sslkit.evaluate.knn import knn_accuracy, knn_protocol
from sslkit.evaluate.results import PROBED
from sslkit.evaluate.splits import Side, Splits, Unlabelled

if TYPE_CHECKING:
    from sslkit.data.dataset import Data


class KnnProbe:
    """Scores an encoder repeatedly while it is being trained.

    A fixed part of the bank's split is the bank, and a fixed part of the test split is
    scored, so the numbers of one run can be compared with each other. They are lower
    than those of a full evaluation, whose bank is larger. Examples without a label are
    left out.
    """

    def __init__(
        self,
        encode: Encode,
        data: Data,
        *,
        size: int,
        bank_split: str | None = None,
        bank: int = 2000,
        queries: int = PROBED,
        neighbours: int = 20,
        temperature: float = 0.07,
        batch_size: int = 256,
    ) -> None:
        """Prepares the probe; reads no data yet.

        Args:
            encode: float32 images [b, size, size, 3] in [0, 1] -> [b, dim] in
                inference mode; its variables may change between calls.
            data: its `test` split is scored.
            size: side of the views, in pixels.
            bank_split: the split that is the bank, see `evaluate`.
            bank: images of it, at most.
            queries: test images, at most.
            neighbours: votes per query.
            temperature: divides cosine similarities in the vote's exponent.
            batch_size: images encoded at once.
        """
        self._encode = frozen(encode)
        self._splits = Splits(data, bank_split, bank, queries, batch_size)
        self._size = size
        self._bank = bank
        self._queries = queries
        self._neighbours = neighbours
        self._temperature = temperature

    @property
    def protocol(self) -> str:
        """The protocol in words, e.g. `kNN (k=20, T=0.07), 1000 images, bank 2000`."""
        bank = min(self._bank, self._splits.source("bank").size)
        queries = min(self._queries, self._splits.source("test").size)
        name = knn_protocol(
            neighbours=self._neighbours, temperature=self._temperature, bank_size=bank
        )
        return f"{name}, {queries} images, bank {bank}"

    def unlabelled(self) -> Unlabelled | None:
        """Checks the labels of the examples it will use; see `Splits.unlabelled`."""
        return self._splits.unlabelled()

    def __call__(self) -> float:
        """Returns top-1 in [0, 1].

        Raises:
            UserError: if there are no labels or an example cannot be read.
        """
        score = knn_accuracy(
            self._features("bank"),
            self._features("test"),
            neighbours=self._neighbours,
            temperature=self._temperature,
        )
        return score.top1

    def _features(self, side: Side) -> Features:
        return self._splits.features(side, self._encode, size=self._size).labelled()
