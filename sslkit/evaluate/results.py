"""The result of an evaluation: rows, each with the name of its protocol."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from sslkit.errors import UserError
from sslkit.evaluate.health import Health
from sslkit.evaluation import numbers_of

TRAINED = "trained encoder"
UNTRAINED = "untrained encoder"
PIXELS = "raw pixels"
PROBED = 1000
"""The most test images that kNN scores while a run trains."""

SHARES = {"top1": "top-1", "top5": "top-5"}
"""Numbers that are shown in percent, and their names in tables."""


@dataclasses.dataclass(frozen=True)
class Row:
    """The numbers of one protocol on one representation, and how they came about."""

    protocol: str
    """E.g. `kNN (k=20, T=0.07)`."""
    representation: str
    """What was classified: `trained encoder`, `untrained encoder` or `raw pixels`."""
    numbers: Mapping[str, float]
    """Name -> number. Encoders are compared by the first; `top1` and `top5` are shares
    in [0, 1]."""
    n_train: int
    """Examples of the bank that were used; 0 for the objective's own classifier, which
    the run itself has trained."""
    n_test: int
    """Examples that were scored."""
    detail: str = ""
    """Settings that the protocol has chosen, e.g. the L2 strength."""

    @property
    def headline(self) -> str:
        """The name of the number by which encoders are compared."""
        return next(iter(self.numbers))

    def to_json(self) -> dict[str, Any]:
        """Returns one flat mapping, with the numbers beside the other fields."""
        return {
            "protocol": self.protocol,
            "representation": self.representation,
            **self.numbers,
            "n_train": self.n_train,
            "n_test": self.n_test,
            "detail": self.detail,
        }

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> Row:
        """Returns the row that `to_json` made `found` of.

        Raises:
            TypeError: if it is not such a row; it may also be a KeyError or ValueError.
        """
        numbers = numbers_of(found)
        if not numbers:
            raise ValueError("a row without a number")
        sizes = found["n_train"], found["n_test"]
        names = found["protocol"], found["representation"]
        return cls(*names, numbers, *sizes, found["detail"])


@dataclasses.dataclass(frozen=True)
class Results:
    """All results of one evaluation."""

    rows: tuple[Row, ...]
    health: Mapping[str, Health]
    """Representation -> label-free numbers."""
    health_split: str
    """The split that `health` was computed on."""
    notes: tuple[str, ...] = ()
    """Remarks for the reader, e.g. that there were no labels."""

    def to_json(self) -> dict[str, Any]:
        """Returns plain lists, dicts, strings and numbers; accuracies in [0, 1]."""
        return {
            "rows": [row.to_json() for row in self.rows],
            "health": {name: one._asdict() for name, one in self.health.items()},
            "health_split": self.health_split,
            "notes": list(self.notes),
        }

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> Results:
        """Returns the results of which `to_json` made `found`; other keys are ignored.

        Raises:
            UserError: if it does not have their form.
        """
        try:
            results = cls(
                rows=tuple(map(Row.from_json, found["rows"])),
                health={name: Health(**one) for name, one in found["health"].items()},
                health_split=found["health_split"],
                notes=tuple(found["notes"]),
            )
            results.render()
        except (TypeError, ValueError, KeyError, AttributeError) as error:
            raise UserError(
                "the saved evaluation (result.json) is damaged. Remove it, and `sslkit "
                "evaluate --workdir W` writes it again."
            ) from error
        return results

    def render(self) -> Group:
        """Returns tables for `rich`: one for each protocol, then health and notes."""
        protocols = dict.fromkeys(row.protocol for row in self.rows)
        parts: list[Any] = [self._accuracies(protocol) for protocol in protocols]
        parts.append(self._health())
        parts += [Text(f"note: {note}") for note in self.notes]
        return Group(*parts)

    def margin(self, baseline: Row) -> float | None:
        """Returns by how much the trained encoder's number exceeds a baseline's.

        Only rows of the same protocol are compared, for example not a linear probe with
        a kNN baseline. None if `baseline` is the row of the trained encoder itself, or
        the trained encoder has no row of this protocol.
        """
        if baseline.representation == TRAINED:
            return None
        ours = [
            row
            for row in self.rows
            if row.protocol == baseline.protocol and row.representation == TRAINED
        ]
        name = baseline.headline
        if not ours or name not in ours[0].numbers:
            return None
        return ours[0].numbers[name] - baseline.numbers[name]

    def _accuracies(self, protocol: str) -> Table:
        rows = [row for row in self.rows if row.protocol == protocol]
        names = list(dict.fromkeys(name for row in rows for name in row.numbers))
        what = "accuracy" if names[0] in SHARES else "split"
        table = _table(f"Test {what}, {protocol}")
        table.add_column("representation", no_wrap=True)
        heads = [f"{SHARES[name]} %" if name in SHARES else name for name in names]
        for head in heads:
            table.add_column(head, justify="right", no_wrap=True)
        # In a narrow terminal, its head takes two lines.
        table.add_column("trained is ahead by", justify="right", min_width=10)
        for head in ("train", "test"):
            table.add_column(head, justify="right", no_wrap=True)
        table.add_column("chosen", no_wrap=True)
        for row in rows:
            margin = self.margin(row)
            table.add_row(
                row.representation,
                *(_shown(name, row.numbers.get(name)) for name in names),
                _shown(row.headline, margin, sign="+"),
                str(row.n_train) if row.n_train else "-",
                str(row.n_test),
                row.detail,
            )
        return table

    def _health(self) -> Table:
        table = _table(
            f"Health of the features, {self.health_split} split "
            "(collapsed: rank 1, others 0)"
        )
        table.add_column("representation", no_wrap=True)
        for name in ("effective rank (RankMe)", "spread", "uniformity", "images"):
            table.add_column(name, justify="right", no_wrap=True)
        for name, one in self.health.items():
            table.add_row(
                name,
                f"{one.effective_rank:.1f} of {one.dim}",
                f"{one.spread:.3f}",
                f"{one.uniformity:.2f}",
                str(one.examples),
            )
        return table


def _shown(name: str, value: float | None, sign: str = "") -> str:
    if value is None:
        return ""
    if name in SHARES:
        return f"{100 * value:{sign}.2f}"
    return f"{value:{sign}.4g}"


def _table(title: str) -> Table:
    return Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
