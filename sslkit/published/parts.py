"""The parts of a published checkpoint, for checks and for messages."""

from __future__ import annotations

import collections
import io
from collections.abc import Iterable, Mapping, Sequence

from sslkit.published.architecture import Shapes
from sslkit.published.names import NETWORK, TWIN, weight_of

OPTIMIZER = "slots"
_TITLES = {
    NETWORK: "encoder",
    "head_contrastive": "projection head",
    "head_supervised": "supervised head",
    f"{TWIN}/{NETWORK}": "momentum encoder",
    f"{TWIN}/head_contrastive": "momentum projection head",
    "memory": "memory bank",
    "global_step": "step",
    OPTIMIZER: "optimizer slots",
}
# The powers of Adam's decays, which follow from the step.
_DERIVED = ("beta1_power", "beta2_power")


def part(published: str) -> str:
    """Returns the part that a published name belongs to, e.g. `ema_model/base_model`.

    Returns:
        The first scope, or the first two of the momentum twin; `slots` for the
        optimizer's slots.
    """
    if weight_of(published) or published in _DERIVED:
        return OPTIMIZER
    scopes = published.split("/")
    return "/".join(scopes[:2]) if scopes[0] == TWIN else scopes[0]


def title(name: str) -> str | None:
    """Returns the usual name of a part; None if the layout does not have this part."""
    return _TITLES.get(name.removesuffix("_instance"))


def derived(published: str) -> bool:
    """Returns whether the value of a variable follows from the step."""
    return published in _DERIVED


def listing(heading: str, targets: Mapping[str, str], shapes: Shapes) -> str:
    """Returns a table of which part was used where, one line per part and target.

    Args:
        heading: stands above.
        targets: published name -> the name here, or why it was not used.
        shapes: published name -> shape.
    """
    groups: dict[tuple[str, str], list[str]] = collections.defaultdict(list)
    for name, target in targets.items():
        groups[part(name), target].append(name)
    return _render(
        heading,
        [
            (
                title(scope) or "unknown",
                f"…/{members[0].rpartition('/')[-1]}" if scope == OPTIMIZER else scope,
                len(members),
                sum(_size(shapes[name]) for name in members),
                target,
            )
            for (scope, target), members in groups.items()
        ],
    )


def _size(shape: Sequence[int]) -> int:
    size = 1
    for side in shape:
        size *= side
    return size


def _render(heading: str, rows: Iterable[tuple[str, str, int, int, str]]) -> str:
    # Rich takes a moment to import, and most callers print nothing.
    import rich.box
    import rich.console
    import rich.table

    table = rich.table.Table(title=heading, box=rich.box.SIMPLE, title_justify="left")
    for column in ("part", "from", "variables", "numbers", "to"):
        number = column in ("variables", "numbers")
        table.add_column(column, justify="right" if number else "left", no_wrap=number)
    for kind, first, count, numbers, target in rows:
        table.add_row(kind, first, str(count), f"{numbers:,}", target)
    out = io.StringIO()
    rich.console.Console(file=out, width=110).print(table)
    return "\n".join(line.rstrip() for line in out.getvalue().strip("\n").splitlines())
