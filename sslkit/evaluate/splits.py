"""Which splits an encoder is measured on, and whether they have labels."""

from __future__ import annotations

import dataclasses
import functools
from typing import TYPE_CHECKING, Literal, NamedTuple

import tensorflow as tf

from sslkit.data.labelling import labelling
from sslkit.errors import UserError
from sslkit.evaluate.features import FrozenEncoder, evaluation_views, extract
from sslkit.evaluation import Features

if TYPE_CHECKING:
    from sslkit.data.dataset import Data
    from sslkit.source import Source

Side = Literal["bank", "test"]
"""The bank of kNN, on which the linear probe is fitted, too; or the scored split."""


class Unlabelled(NamedTuple):
    """Why accuracies cannot be measured, in parts of a line each."""

    why: str
    """The reason, as the end of a sentence, e.g. `the data has no labels`."""
    found: str
    """What was examined, e.g. `in folder:/photos/train, 0 of 60 examples have a label`.
    """
    option: str
    """The option that names another split."""

    @property
    def advice(self) -> str:
        """What a user can do if there are labels."""
        return f"to use another split that has labels, set {self.option} = 'SPLIT'"

    def lines(self, what: str) -> list[str]:
        """Returns what is not done and why, what was examined, and what to do.

        Args:
            what: is not done, as the beginning of a sentence.
        """
        return [f"{what}, because {self.why}:", f"  {self.found}", f"  {self.advice}"]


@dataclasses.dataclass(frozen=True)
class Splits:
    """The bank and the scored split of a dataset.

    Attributes:
        data: the dataset; its `test` split is scored.
        bank: the bank's split, by its name in the dataset; None for the split that was
            trained on.
        bank_limit: examples of the bank's split to use, a fixed choice from all of it;
            None for all.
        test_limit: examples to score, chosen in the same way.
        batch_size: images encoded at once.
    """

    data: Data
    bank: str | None
    bank_limit: int | None
    test_limit: int | None
    batch_size: int

    def source(self, side: Side) -> Source:
        """Opens the split of a side.

        Raises:
            UserError: if there is no such split, or both sides are the same split.
        """
        if side == "test":
            return self.data.source("test")
        if self.bank is None:
            return self.data.source("train")
        if self.bank == self.data.test:
            raise UserError(
                f"evaluate.bank is {self.bank!r}, which is the split that is scored: "
                "each image would find itself. Name another split."
            )
        return self.data.split(self.bank)

    def unlabelled(self) -> Unlabelled | None:
        """Checks the labels of both sides before anything is encoded.

        Returns:
            Why accuracies cannot be measured; None if they can.

        Raises:
            UserError: if the bank was named and has no labels, or a split is missing.
        """
        bank = self.source("bank")
        found = labelling(bank, limit=self.bank_limit)
        if not found.any:
            if self.bank is not None:
                raise UserError(
                    f"evaluate.bank is {self.bank!r}, and {bank.name} has no labels "
                    f"({found}). Name a split that has some, or leave evaluate.bank "
                    "out."
                )
            return Unlabelled(
                "the data has no labels", f"in {bank.name}, {found}", "evaluate.bank"
            )
        test = self.source("test")
        found = labelling(test, limit=self.test_limit)
        if not found.any:
            return Unlabelled(
                "the scored split has no labels",
                f"in {test.name}, {found}",
                "data.test",
            )
        return None

    def features(self, side: Side, encode: FrozenEncoder, *, size: int) -> Features:
        """Encodes the examples of a side, including those without a label.

        The pipeline that reads and crops the images is built once per side and size.

        Args:
            side: which.
            encode: see `sslkit.evaluate.features.frozen`.
            size: side of the views, in pixels.
        """
        source = self.source(side)
        limit = self.bank_limit if side == "bank" else self.test_limit
        batches = self._pipelines.get((side, size))
        if batches is None:
            batches = self._pipelines[side, size] = evaluation_views(
                source, size=size, batch_size=self.batch_size, limit=limit
            )
        return extract(encode, batches, source=source, limit=limit)

    @functools.cached_property
    def _pipelines(self) -> dict[tuple[Side, int], tf.data.Dataset]:
        """The batches of (side, size), for as long as these splits are used."""
        return {}
