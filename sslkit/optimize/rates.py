"""Learning rates that differ between weights, around any optimizer."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import tensorflow as tf

from sslkit.api import (
    Moved,
    NonNegativeFloat,
    Optimizer,
    PositiveShare,
    UserError,
    Weight,
    checked,
)
from sslkit.optimize.around import Around
from sslkit.optimize.exclusions import check_matches, given, matches

BLOCK = r"^encoder/block_(\d+)/"
"""A pattern for the blocks of `backbones.vit`, with their number."""
PATCHES = (r"^encoder/patches/", r"^encoder/token$")
"""Patterns for what comes before its first block."""


class ByPath(Around):
    """Multiplies the learning rate of some weights.

    Args:
        of: the optimizer that moves the weights.
        rates: patterns of paths -> factors of the learning rate. The first pattern that
            is found in a path is used; other weights have the factor 1.
    """

    @checked
    def __init__(self, *, of: Optimizer, rates: Mapping[str, NonNegativeFloat]):
        """Keeps the options; see the class."""
        super().__init__(of)
        given("ByPath: rates", list(rates))
        self._rates = dict(rates)

    def check(self, paths: Sequence[str]) -> None:
        """Implements `Optimizer.check`."""
        check_matches("ByPath: rates", list(self._rates), paths)
        super().check(paths)

    def factor(self, path: str) -> float:
        """Returns the factor of a weight's learning rate."""
        found = (rate for key, rate in self._rates.items() if matches(path, [key]))
        return next(found, 1.0)

    def update_all(
        self, weights: Mapping[str, Weight], *, step: tf.Tensor, steps: int
    ) -> Mapping[str, Moved]:
        """Implements `Optimizer.update_all`."""
        own = {path: self.factor(path) for path in weights}
        return self.of.update_all(_rated(weights, own), step=step, steps=steps)


class ByLayer(Around):
    """Multiplies the learning rate by a factor for each layer below the last.

    This is layer-wise decay, which is used to fine-tune ViTs (Clark et al. 2020,
    ELECTRA, arXiv:2003.10555; He et al. 2022, MAE, appendix A, decay 0.75 or 0.65). In
    an encoder of L blocks, the layers before the first block have the factor decay^(L +
    1); block l, counted from 0, has decay^(L - l); and all layers after the blocks,
    such as the head, have 1.

    Args:
        of: the optimizer that moves the weights.
        decay: the factor from a layer to the one below.
        blocks: a pattern for the paths of blocks; its only group is the block's number,
            counted from 0.
        first: patterns for the layers before the first block.
    """

    @checked
    def __init__(
        self,
        *,
        of: Optimizer,
        decay: PositiveShare,
        blocks: str = BLOCK,
        first: Sequence[str] = PATCHES,
    ):
        """Keeps the options; see the class."""
        super().__init__(of)
        self._decay = decay
        (blocks,) = given("ByLayer: blocks", [blocks])
        if re.compile(blocks).groups != 1:
            raise UserError(
                f"ByLayer: blocks is {blocks!r}; wanted a pattern with one group, the "
                rf"block's number, such as {BLOCK!r}."
            )
        self._blocks = blocks
        self._first = given("ByLayer: first", first)

    def check(self, paths: Sequence[str]) -> None:
        """Implements `Optimizer.check`."""
        check_matches("ByLayer: blocks", [self._blocks], paths)
        if not any(matches(path, self._first) for path in paths):
            # One match is enough: a network may lack some of them, such as the class
            # token.
            check_matches("ByLayer: first", self._first, paths)
        super().check(paths)

    def factors(self, paths: Sequence[str]) -> dict[str, float]:
        """Returns the factors of the weights' learning rates.

        Args:
            paths: all weights that are trained; the last block is the one with the
                highest number among them.
        """
        numbers = {path: self._number(path) for path in paths}
        blocks = 1 + max((n for n in numbers.values() if n is not None), default=-1)
        found = {}
        for path, number in numbers.items():
            if number is not None:
                found[path] = self._decay ** (blocks - number)
            elif matches(path, self._first):
                found[path] = self._decay ** (blocks + 1)
            else:
                found[path] = 1.0
        return found

    def _number(self, path: str) -> int | None:
        found = re.search(self._blocks, path)
        return None if found is None else int(found[1])

    def update_all(
        self, weights: Mapping[str, Weight], *, step: tf.Tensor, steps: int
    ) -> Mapping[str, Moved]:
        """Implements `Optimizer.update_all`."""
        own = self.factors(list(weights))
        return self.of.update_all(_rated(weights, own), step=step, steps=steps)


def _rated(
    weights: Mapping[str, Weight], factors: Mapping[str, float]
) -> dict[str, Weight]:
    return {
        path: weight
        if factors[path] == 1
        else weight._replace(rate=factors[path] * weight.rate)
        for path, weight in weights.items()
    }
