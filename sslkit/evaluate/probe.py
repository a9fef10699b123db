"""A small kNN evaluation, cheap enough to repeat while training goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sslkit.evaluate.features import Encode, Features, extract_source, frozen
from sslkit.evaluate.knn import knn_accuracy, knn_protocol

if TYPE_CHECKING:
    from sslkit.data.dataset import Data, Part


class KnnProbe:
    """Scores an encoder that is being trained, again and again.

    A fixed part of the training split is the bank and a fixed part of the test split
    is scored, so numbers of one run compare with each other. They are lower than
    those of a full evaluation, whose bank is larger.
    """

    def __init__(
        self,
        encode: Encode,
        data: Data,
        *,
        size: int,
        bank: int = 2000,
        queries: int = 1000,
        neighbours: int = 20,
        temperature: float = 0.07,
        batch_size: int = 256,
    ) -> None:
        """Prepares the probe; reads no data yet.

        Args:
            encode: float32 images [b, size, size, 3] in [0, 1] -> [b, dim] in
                inference mode; its variables may change between calls.
            data: labelled data with the splits `train` and `test`.
            size: side of the views, in pixels.
            bank: training images, at most.
            queries: test images, at most.
            neighbours: votes for each query.
            temperature: divides cosine similarities in the vote's exponent.
            batch_size: images encoded at once.
        """
        self._encode = frozen(encode)
        self._data = data
        self._size = size
        self._batch_size = batch_size
        self._limits = {"train": bank, "test": queries}
        self._neighbours = neighbours
        self._temperature = temperature

    @property
    def protocol(self) -> str:
        """What the number means, e.g. `kNN (k=20, T=0.07), 1000 images, bank 2000`."""
        bank = min(self._limits["train"], self._data.source("train").size)
        queries = min(self._limits["test"], self._data.source("test").size)
        name = knn_protocol(
            neighbours=self._neighbours, temperature=self._temperature, bank_size=bank
        )
        return f"{name}, {queries} images, bank {bank}"

    def __call__(self) -> float:
        """Returns top-1 in [0, 1].

        Raises:
            UserError: if the data has no labels or an example cannot be read.
        """
        score = knn_accuracy(
            self._features("train"),
            self._features("test"),
            neighbours=self._neighbours,
            temperature=self._temperature,
        )
        return score.top1

    def _features(self, split: Part) -> Features:
        return extract_source(
            self._encode,
            self._data.source(split),
            size=self._size,
            batch_size=self._batch_size,
            limit=self._limits[split],
        )
