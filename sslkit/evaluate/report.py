"""The outcome of an evaluation: rows that each name their protocol."""

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

TRAINED = "trained encoder"
UNTRAINED = "untrained encoder"
PIXELS = "raw pixels"


@dataclasses.dataclass(frozen=True)
class Row:
    """One number pair and all that is needed to read it."""

    protocol: str
    """E.g. `kNN (k=20, T=0.07)`."""
    representation: str
    """What was classified: `trained encoder`, `untrained encoder` or `raw pixels`."""
    top1: float
    """Share in [0, 1]."""
    top5: float
    """Share in [0, 1]."""
    n_train: int
    """Examples the classifier saw; 0 for the objective's own classifier, which was
    trained by the run itself."""
    n_test: int
    """Examples that were scored."""
    detail: str = ""
    """Settings that were chosen on the way, e.g. the L2 strength."""


@dataclasses.dataclass(frozen=True)
class Report:
    """All that one evaluation found."""

    rows: tuple[Row, ...]
    health: Mapping[str, Health]
    """Representation -> label-free numbers."""
    health_split: str
    """The split that `health` was computed on."""
    notes: tuple[str, ...] = ()
    """What the reader must know, e.g. that there were no labels."""

    def to_json(self) -> dict[str, Any]:
        """Returns plain lists, dicts, strings and numbers; accuracies in [0, 1]."""
        return {
            "rows": [dataclasses.asdict(row) for row in self.rows],
            "health": {name: one._asdict() for name, one in self.health.items()},
            "health_split": self.health_split,
            "notes": list(self.notes),
        }

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> Report:
        """Returns the report that `to_json` made `found` of; other keys are ignored.

        Raises:
            UserError: if it is none.
        """
        try:
            report = cls(
                rows=tuple(Row(**row) for row in found["rows"]),
                health={name: Health(**one) for name, one in found["health"].items()},
                health_split=found["health_split"],
                notes=tuple(found["notes"]),
            )
            report.render()
        except (TypeError, ValueError, KeyError, AttributeError) as error:
            raise UserError(
                "the evaluation that was kept (result.json) is damaged. Remove it, and "
                "`sslkit evaluate --workdir W` writes it again."
            ) from error
        return report

    def render(self) -> Group:
        """Returns tables for `rich`: one for each protocol, then health and notes."""
        protocols = dict.fromkeys(row.protocol for row in self.rows)
        parts: list[Any] = [self._accuracies(protocol) for protocol in protocols]
        parts.append(self._health())
        parts += [Text(f"note: {note}") for note in self.notes]
        return Group(*parts)

    def margin(self, baseline: Row) -> float | None:
        """Returns by how much top-1 of the trained encoder exceeds a baseline's.

        Only rows of one protocol compare: a linear probe says nothing about a kNN
        baseline. None where `baseline` is the trained encoder itself, or that has no
        such row.
        """
        if baseline.representation == TRAINED:
            return None
        ours = [
            row
            for row in self.rows
            if row.protocol == baseline.protocol and row.representation == TRAINED
        ]
        return ours[0].top1 - baseline.top1 if ours else None

    def _accuracies(self, protocol: str) -> Table:
        table = _table(f"Test accuracy, {protocol}")
        table.add_column("representation", no_wrap=True)
        for name in ("top-1 %", "top-5 %", "trained leads", "train", "test"):
            table.add_column(name, justify="right", no_wrap=True)
        table.add_column("chosen", no_wrap=True)
        for row in self.rows:
            if row.protocol != protocol:
                continue
            margin = self.margin(row)
            table.add_row(
                row.representation,
                f"{100 * row.top1:.2f}",
                f"{100 * row.top5:.2f}",
                "" if margin is None else f"{100 * margin:+.2f}",
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


def _table(title: str) -> Table:
    return Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
